// Two people compare emoji.

import { CryptoEvent } from "./people.mjs";
import { check, until } from "./suite.mjs";

const CONFIRMED = "show_sas";
/** How often garbage is collected while people verify each other, in milliseconds. */
const COLLECTED_EVERY = 50;
/** What is held on to. */
const held = new Set();

/** `one` asks, `other` answers: another js-sdk client, or a matrix-nio agent. Gives the emoji. */
export async function verifyWithSas(one, other) {
    // What waits for the end of itself only is garbage. With `--expose-gc` it is so at once, and not now and then.
    const collecting = setInterval(() => globalThis.gc?.(), COLLECTED_EVERY);
    try {
        const asking = ask(one, other);
        const answering = other.nio ? asking.then(() => other.nio.do("verification")) : answer(other);
        const [mine, theirs] = await Promise.all([asking, answering]);
        const expected = other.nio ? theirs.emoji : theirs;
        check(JSON.stringify(mine) === JSON.stringify(expected), `the same emoji: ${mine} and ${expected}`);
        return mine;
    } finally {
        clearInterval(collecting);
        held.clear();
    }
}

/** Holds on to something: the library tells requests and verifiers what happens as long as somebody else holds them. */
function hold(object) {
    held.add(object);
    return object;
}

async function ask(client, other) {
    const userId = other.nio ? other.userId : other.getUserId();
    const deviceId = other.nio ? other.deviceId : other.getDeviceId();
    const request = hold(await client.getCrypto().requestDeviceVerification(userId, deviceId));
    await until("the other to be ready", () => request.phase >= 3);
    check(request.phase === 3, `ready, not phase ${request.phase}`);
    const verifier = hold(await request.startVerification("m.sas.v1"));
    const shown = confirm(verifier);
    await verifier.verify();
    return shown;
}

/** Says yes to the emoji and gives them; libraries name them differently, and write some with a variation selector. */
function confirm(verifier) {
    return new Promise((done) => {
        verifier.on(CONFIRMED, (sas) => {
            done(sas.sas.emoji.map(([emoji]) => emoji.replaceAll("\uFE0F", "")));
            sas.confirm();
        });
    });
}

async function answer(client) {
    const request = hold(
        await new Promise((done) => client.once(CryptoEvent.VerificationRequestReceived, done)),
    );
    await request.accept();
    const verifier = hold(await until("the start", () => request.verifier));
    const shown = confirm(verifier);
    await verifier.verify();
    return shown;
}
