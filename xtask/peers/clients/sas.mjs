// Two people compare emoji.

import { CryptoEvent } from "./people.mjs";
import { check, until } from "./suite.mjs";

const CONFIRMED = "show_sas";

/** `one` asks, `other` answers: another js-sdk client, or a matrix-nio agent. Gives the emoji. */
export async function verifyWithSas(one, other) {
    const answering = other.nio ? null : answer(other);
    const userId = other.nio ? other.userId : other.getUserId();
    const deviceId = other.nio ? other.deviceId : other.getDeviceId();
    const request = await one.getCrypto().requestDeviceVerification(userId, deviceId);
    await until("the other to be ready", () => request.phase >= 3);
    check(request.phase === 3, `ready, not phase ${request.phase}`);
    const verifier = await request.startVerification("m.sas.v1");
    const shown = confirm(verifier);
    await verifier.verify();
    const mine = await shown;
    const theirs = other.nio ? (await other.nio.do("verification")).emoji : await answering;
    check(JSON.stringify(mine) === JSON.stringify(theirs), `the same emoji: ${mine} and ${theirs}`);
    return mine;
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
    const request = await new Promise((done) => client.once(CryptoEvent.VerificationRequestReceived, done));
    await request.accept();
    const verifier = await until("the start", () => request.verifier);
    const shown = confirm(verifier);
    await verifier.verify();
    return shown;
}
