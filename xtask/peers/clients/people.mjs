// People with matrix-js-sdk clients.

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/index.js";
import { check, until } from "./suite.mjs";

// The library and its crypto log much; the suite prints by itself.
logger.setLevel("silent");
for (const name of ["debug", "info", "log", "warn", "error"]) console[name] = () => {};

const PASSWORD = "correct horse battery staple";

/** Registers a person on a server. */
export async function register(baseUrl, name) {
    const client = sdk.createClient({ baseUrl });
    const request = { username: name, password: PASSWORD, inhibit_login: true };
    try {
        await client.registerRequest(request);
        throw new Error("registered without a stage of authentication");
    } catch (error) {
        check(error.httpStatus === 401, `registration asks for stages, not: ${error}`);
        const session = error.data.session;
        check(error.data.flows.some((flow) => flow.stages.includes("m.login.dummy")), "a dummy flow is offered");
        const answer = await client.registerRequest({ ...request, auth: { type: "m.login.dummy", session } });
        return answer.user_id;
    }
}

/** Logs a person in and starts a client with encryption. */
export async function logIn(baseUrl, userId, { refresh = false } = {}) {
    const entrance = sdk.createClient({ baseUrl });
    const login = await entrance.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: userId },
        password: PASSWORD,
        initial_device_display_name: "suite",
        refresh_token: refresh,
    });
    return startClient(baseUrl, login);
}

export async function startClient(baseUrl, login, secrets = {}) {
    const client = sdk.createClient({
        baseUrl,
        userId: login.user_id,
        accessToken: login.access_token,
        refreshToken: login.refresh_token,
        tokenRefreshFunction: login.refresh_token ? refresher(baseUrl) : undefined,
        deviceId: login.device_id,
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => {
                const id = Object.keys(keys)[0];
                return secrets.key ? [id, secrets.key] : null;
            },
            cacheSecretStorageKey: (_id, _info, key) => {
                secrets.key = key;
            },
        },
    });
    client.suiteSecrets = secrets;
    await client.initRustCrypto({ useIndexedDB: false });
    await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true, threadSupport: true });
    await until("the first sync", () => client.isInitialSyncComplete());
    return client;
}

function refresher(baseUrl) {
    return async (refreshToken) => {
        const answer = await sdk.createClient({ baseUrl }).refreshToken(refreshToken);
        return {
            accessToken: answer.access_token,
            refreshToken: answer.refresh_token,
            expiry: answer.expires_in_ms ? new Date(Date.now() + answer.expires_in_ms) : undefined,
        };
    };
}

/** The password everybody has. */
export const password = PASSWORD;

/** Answers user-interactive authentication with the password. */
export function withPassword(client) {
    return async (makeRequest) => {
        try {
            return await makeRequest(null);
        } catch (error) {
            if (error.httpStatus !== 401 || !error.data?.session) throw error;
            return makeRequest({
                type: "m.login.password",
                identifier: { type: "m.id.user", user: client.getUserId() },
                password: PASSWORD,
                session: error.data.session,
            });
        }
    };
}

/** Waits until a client is in a room with that membership. */
export function untilMember(client, roomId, membership) {
    return until(`${client.getUserId()} to see ${membership} in ${roomId}`, () => {
        return client.getRoom(roomId)?.getMyMembership() === membership;
    });
}

/** Waits until a client shows a message with that text, decrypted, and gives the event. */
export function untilText(client, roomId, body, seconds = 30) {
    return until(
        `${client.getUserId()} to read "${body}"`,
        () => {
            const events = client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
            return events.find((event) => !event.isDecryptionFailure() && event.getContent().body === body);
        },
        seconds,
    );
}

export { sdk, CryptoEvent };
