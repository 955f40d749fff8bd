// A person with a matrix-nio client, run as a Python process that is told what to do.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Nio {
    constructor(python) {
        const agent = fileURLToPath(new URL("./nio_agent.py", import.meta.url));
        this.process = spawn(python, ["-u", agent], { stdio: ["pipe", "pipe", "ignore"] });
        this.waiting = new Map();
        this.next = 0;
        createInterface({ input: this.process.stdout }).on("line", (line) => this.#answered(line));
        this.process.on("exit", (code) => {
            for (const { fail } of this.waiting.values()) fail(new Error(`the nio agent ended with ${code}`));
        });
    }

    #answered(line) {
        const { id, result, error } = JSON.parse(line);
        const { done, fail } = this.waiting.get(id);
        this.waiting.delete(id);
        if (error) fail(new Error(error));
        else done(result);
    }

    /** Has the client do something. */
    do(what, parameters = {}) {
        const id = this.next++;
        return new Promise((done, fail) => {
            this.waiting.set(id, { done, fail });
            this.process.stdin.write(`${JSON.stringify({ id, do: what, with: parameters })}\n`);
        });
    }

    login(baseUrl, userId, password) {
        const store = mkdtempSync(join(tmpdir(), "nio-"));
        return this.do("login", { base_url: baseUrl, user_id: userId, password, store });
    }

    stop() {
        this.process.kill();
    }
}
