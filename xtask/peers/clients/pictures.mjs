// Encrypted attachments: https://spec.matrix.org/v1.19/client-server-api/#sending-encrypted-attachments

import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { check } from "./suite.mjs";

/** A picture of one pixel. */
export const PICTURE = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==",
    "base64",
);

const unpadded = (bytes, encoding = "base64") => bytes.toString(encoding).replace(/=+$/, "");

/** Encrypts a file: its bytes as they are uploaded, and what whoever reads it has to know. */
export function seal(plain) {
    const key = randomBytes(32);
    // The lower half counts.
    const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)]);
    const cipher = createCipheriv("aes-256-ctr", key, iv);
    const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
    return {
        bytes,
        file: {
            v: "v2",
            key: { kty: "oct", alg: "A256CTR", ext: true, key_ops: ["encrypt", "decrypt"], k: unpadded(key, "base64url") },
            iv: unpadded(iv),
            hashes: { sha256: unpadded(createHash("sha256").update(bytes).digest()) },
        },
    };
}

/** Decrypts a file. */
export function open(bytes, file) {
    check(unpadded(createHash("sha256").update(bytes).digest()) === file.hashes.sha256, "the file is what was uploaded");
    const decipher = createDecipheriv("aes-256-ctr", Buffer.from(file.key.k, "base64url"), Buffer.from(file.iv, "base64"));
    return Buffer.concat([decipher.update(bytes), decipher.final()]);
}

/** Downloads a file, or a thumbnail of it, as a client does. */
export async function download(client, mxc, [width, height, method] = []) {
    const url = client.mxcUrlToHttp(mxc, width, height, method, false, true, true);
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } });
    check(answer.status === 200, `download: ${answer.status}`);
    return { bytes: Buffer.from(await answer.arrayBuffer()), contentType: answer.headers.get("content-type") };
}
