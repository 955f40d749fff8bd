// Names, runs and counts the steps of a suite; a step that fails does not keep the next ones from running.

const print = (line) => process.stdout.write(`${line}\n`);
const results = { passed: 0, failed: 0 };

/** Runs one step and says what came of it. */
export async function step(name, run, seconds = 60) {
    const started = Date.now();
    try {
        const value = await withTimeout(run(), seconds, name);
        results.passed += 1;
        print(`ok      ${name} (${Date.now() - started} ms)`);
        return value;
    } catch (error) {
        results.failed += 1;
        print(`FAILED  ${name}: ${error?.stack ?? error}`);
        return undefined;
    }
}

/** Fails with a message unless a condition holds. */
export function check(condition, message) {
    if (!condition) throw new Error(message);
}

/** Waits until `probe` gives something other than undefined, null or false. */
export async function until(what, probe, seconds = 30) {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
        const found = await probe();
        if (found) return found;
        if (Date.now() > deadline) throw new Error(`waited ${seconds} s for ${what}`);
        await sleep(50);
    }
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function withTimeout(promise, seconds, name) {
    let timer;
    const timeout = new Promise((_, fail) => {
        timer = setTimeout(() => fail(new Error(`${name} took longer than ${seconds} s`)), seconds * 1000);
    });
    return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

/** Has the server killed and started by who runs the suite. */
export function restartServer() {
    return new Promise((done) => {
        process.stdin.once("data", done);
        print("@restart");
    });
}

/** Ends the process as failed after some time. */
export function giveUpAfter(seconds) {
    setTimeout(() => {
        print(`FAILED  the suite took longer than ${seconds} s`);
        process.exit(1);
    }, seconds * 1000).unref();
}

/** Prints the count and ends the process. */
export function finish() {
    print(`${results.passed} passed, ${results.failed} failed`);
    process.exit(results.failed === 0 ? 0 : 1);
}
