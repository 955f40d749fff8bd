// Real clients use a server: node talk.mjs --first URL --second URL --python PYTHON
// The two URLs are two tenants of one process, or one server twice.

import { parseArgs } from "node:util";
import { finish, check, giveUpAfter, restartServer, step, until } from "./suite.mjs";
import { logIn, password, register, sdk, startClient, untilMember, untilText, withPassword } from "./people.mjs";
import { Nio } from "./nio.mjs";
import { PICTURE, download, open, seal } from "./pictures.mjs";
import { verifyWithSas } from "./sas.mjs";

const { values } = parseArgs({
    options: {
        first: { type: "string" },
        second: { type: "string" },
        python: { type: "string" },
        // Whether who runs the suite kills and starts the server when asked to.
        restarts: { type: "boolean", default: false },
        // After how many seconds the suite gives up.
        seconds: { type: "string", default: "900" },
        suffix: { type: "string", default: String(Date.now() % 100000) },
    },
});
const { first, second, python, suffix } = values;
giveUpAfter(Number(values.seconds));
const ENCRYPTED = [
    { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
];

/** What the server says, not what the library remembers. */
async function stored(client, path) {
    const answer = await fetch(client.baseUrl + path, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } });
    return answer.json();
}

/** The server of a user: who wants into a room names one that is in it. */
const domain = (userId) => userId.slice(userId.indexOf(":") + 1);

const ids = {};
await step("people register on both domains", async () => {
    ids.one = await register(first, `one${suffix}`);
    ids.two = await register(second, `two${suffix}`);
    ids.three = await register(second, `three${suffix}`);
});
const one = await step("one logs in with a refresh token", () => logIn(first, ids.one, { refresh: true }));
const two = await step("two logs in", () => logIn(second, ids.two));
const nio = new Nio(python);
await step("three logs in with matrix-nio", () => nio.login(second, ids.three, password));

const room = await step("one creates an encrypted room and invites both", async () => {
    const { room_id } = await one.createRoom({
        name: "talk",
        preset: "private_chat",
        invite: [ids.two, ids.three],
        initial_state: ENCRYPTED,
    });
    return room_id;
});
await step("two sees the invite with its state and joins", async () => {
    await untilMember(two, room, "invite");
    check(two.getRoom(room).name === "talk", "the invite tells the room's name");
    await two.joinRoom(room);
    await untilMember(two, room, "join");
});
await step("three joins with matrix-nio", async () => {
    await nio.do("join", { room_id: room });
    check((await nio.do("joined", { room_id: room })).encrypted, "matrix-nio knows that the room is encrypted");
});
await step("one sees everybody join", () =>
    until("three members", () => one.getRoom(room).getJoinedMemberCount() === 3));

await step("everybody reads what one says", async () => {
    await one.sendTextMessage(room, "hello from one");
    await untilText(two, room, "hello from one");
    check((await nio.do("read", { room_id: room, body: "hello from one" })).decrypted, "it was encrypted");
});
await step("everybody reads what two says", async () => {
    await two.sendTextMessage(room, "hello from two");
    const event = await untilText(one, room, "hello from two");
    check(event.isEncrypted(), "it was encrypted");
    await nio.do("read", { room_id: room, body: "hello from two" });
});
await step("everybody reads what three says with matrix-nio", async () => {
    await nio.do("send", { room_id: room, body: "hello from three" });
    await untilText(one, room, "hello from three");
    await untilText(two, room, "hello from three");
});

const secrets = await step("one sets up cross-signing, secret storage and key backup", async () => {
    const crypto = one.getCrypto();
    const recovery = await crypto.createRecoveryKeyFromPassphrase();
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(one) });
    await crypto.bootstrapSecretStorage({
        createSecretStorageKey: async () => recovery,
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    check(await crypto.isCrossSigningReady(), "cross-signing is ready");
    await until("a backup", async () => (await crypto.getActiveSessionBackupVersion()) !== null);
    await until("keys in the backup", async () => (await stored(one, "/_matrix/client/v3/room_keys/version")).count > 0);
    return { key: recovery.privateKey };
});
await step("two sets up cross-signing", () =>
    two.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(two) }));
await step("one and two verify each other with SAS", () => verifyWithSas(one, two), 90);
await step("one and matrix-nio verify each other with SAS", async () => {
    const devices = await one.getCrypto().getUserDeviceInfo([ids.three], true);
    const [device] = [...devices.get(ids.three).keys()];
    const emoji = await verifyWithSas(one, { userId: ids.three, deviceId: device, nio });
    check(emoji.length === 7, "seven emoji");
}, 90);
await step("a new device of one restores the keys and reads what was said", async () => {
    const login = await sdk.createClient({ baseUrl: first }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: ids.one },
        password,
    });
    const device = await startClient(first, login, { key: secrets.key });
    const crypto = device.getCrypto();
    check(await crypto.userHasCrossSigningKeys(ids.one, true), "the new device sees the identity of one");
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(device) });
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await crypto.restoreKeyBackup();
    check(restored.imported > 0, `keys were restored: ${JSON.stringify(restored)}`);
    await untilText(device, room, "hello from two");
    await device.logout(true);
});

const later = await step("devices that log in later are heard of", async () => {
    const device = await logIn(second, ids.two);
    const agent = new Nio(python);
    const { device_id } = await agent.login(second, ids.three, password);
    await agent.do("joined", { room_id: room });
    // Nobody asks for the devices: their servers tell of them.
    await until("one to hear of both devices", async () => {
        const known = await one.getCrypto().getUserDeviceInfo([ids.two, ids.three]);
        return known.get(ids.two)?.has(device.getDeviceId()) && known.get(ids.three)?.has(device_id);
    });
    return { device, agent };
});
await step("devices that log in later read what is said from then on", async () => {
    await one.sendTextMessage(room, "for the new devices, too");
    await untilText(later.device, room, "for the new devices, too");
    await later.agent.do("read", { room_id: room, body: "for the new devices, too" });
});
await step("what devices say that log in later is read", async () => {
    await later.device.sendTextMessage(room, "from a new device");
    await untilText(one, room, "from a new device");
    await nio.do("read", { room_id: room, body: "from a new device" });
    await later.agent.do("send", { room_id: room, body: "from a new agent" });
    await untilText(one, room, "from a new agent");
    await untilText(later.device, room, "from a new agent");
});
await step("devices that log out are heard of", async () => {
    later.device.stopClient();
    await later.device.logout(true);
    await later.agent.do("logout");
    later.agent.stop();
    await until("one to hear that a device is gone", async () => {
        const known = await one.getCrypto().getUserDeviceInfo([ids.two]);
        return !known.get(ids.two)?.has(later.device.getDeviceId());
    });
});

await step("pictures go both ways", async () => {
    const { content_uri } = await one.uploadContent(PICTURE, { type: "image/png", name: "picture.png" });
    const fetched = await nio.do("download", { mxc: content_uri });
    check(fetched.data === PICTURE.toString("base64") && fetched.content_type === "image/png", "nio has the picture");
    const mine = await nio.do("upload", { data: PICTURE.toString("base64"), content_type: "image/png" });
    check((await download(one, mine.content_uri)).bytes.equals(PICTURE), "js-sdk has the picture");
    const small = await download(one, mine.content_uri, [32, 32, "crop"]);
    check(small.contentType.startsWith("image/"), "a thumbnail");
});
await step("encrypted pictures go both ways", async () => {
    const sealed = seal(PICTURE);
    const { content_uri } = await one.uploadContent(sealed.bytes, { type: "application/octet-stream", includeFilename: false });
    const info = { mimetype: "image/png", size: PICTURE.length, w: 1, h: 1 };
    await one.sendMessage(room, { msgtype: "m.image", body: "from one.png", info, file: { ...sealed.file, url: content_uri } });
    const seen = await nio.do("picture", { room_id: room, body: "from one.png" });
    check(seen.data === PICTURE.toString("base64"), "nio sees the picture");
    await nio.do("send_picture", { room_id: room, body: "from three.png", data: PICTURE.toString("base64") });
    const event = await untilText(one, room, "from three.png");
    const { file } = event.getContent();
    check(event.isEncrypted() && file, "it was encrypted");
    check(open((await download(one, file.url)).bytes, file).equals(PICTURE), "js-sdk sees the picture");
});

const plain = await step("one and two share an unencrypted room", async () => {
    const { room_id } = await one.createRoom({ preset: "private_chat", invite: [ids.two] });
    await untilMember(two, room_id, "invite");
    await two.joinRoom(room_id);
    await untilMember(two, room_id, "join");
    return room_id;
});
const message = await step("a message arrives", async () => {
    const { event_id } = await one.sendTextMessage(plain, "first version");
    await untilText(two, plain, "first version");
    return event_id;
});
await step("an edit replaces what others read", async () => {
    await one.sendMessage(plain, {
        "msgtype": "m.text",
        "body": "* second version",
        "m.new_content": { msgtype: "m.text", body: "second version" },
        "m.relates_to": { rel_type: "m.replace", event_id: message },
    });
    await until("the edit", () => two.getRoom(plain).findEventById(message)?.getContent().body === "second version");
});
await step("a reaction is counted", async () => {
    await two.sendEvent(plain, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: message, key: "👍" },
    });
    await until("the reaction", () => {
        const relations = one.getRoom(plain).relations.getChildEventsForEvent(message, "m.annotation", "m.reaction");
        return relations?.getRelations().length === 1;
    });
    const found = await one.relations(plain, message, "m.annotation", "m.reaction");
    check(found.events.length === 1, "the server finds the reaction by its relation");
});
await step("a reply and a thread arrive", async () => {
    await two.sendMessage(plain, {
        "msgtype": "m.text",
        "body": "a reply",
        "m.relates_to": { "m.in_reply_to": { event_id: message } },
    });
    await untilText(one, plain, "a reply");
    await two.sendMessage(plain, message, { msgtype: "m.text", body: "in the thread" });
    await until("the thread", () => one.getRoom(plain).getThread(message)?.events.some((e) => e.getContent().body === "in the thread"));
});
await step("unread counts rise and a receipt clears them", async () => {
    const { event_id } = await one.sendTextMessage(plain, "count this");
    await until("a count", () => two.getRoom(plain).getUnreadNotificationCount("total") > 0);
    await untilText(two, plain, "count this");
    await two.sendReadReceipt(two.getRoom(plain).findEventById(event_id), "m.read", true);
    await until("no count", () => two.getRoom(plain).getUnreadNotificationCount("total") === 0);
    await until("the receipt", () => one.getRoom(plain).hasUserReadEvent(ids.two, event_id));
});
await step("typing is shown and ends", async () => {
    await two.sendTyping(plain, true, 5000);
    await until("typing", () => one.getRoom(plain).getMember(ids.two).typing);
    await two.sendTyping(plain, false, 0);
    await until("no typing", () => !one.getRoom(plain).getMember(ids.two).typing);
    await nio.do("typing", { room_id: room });
    await until("typing from matrix-nio", () => one.getRoom(room).getMember(ids.three).typing);
});
await step("a redaction takes the text from everybody", async () => {
    const { event_id } = await one.sendTextMessage(plain, "a mistake");
    await untilText(two, plain, "a mistake");
    await one.redactEvent(plain, event_id);
    await until("the redaction", () => two.getRoom(plain).findEventById(event_id)?.isRedacted());
    const fetched = await two.fetchRoomEvent(plain, event_id);
    check(Object.keys(fetched.content).length === 0, "the server gives out the redacted event");
});
await step("older messages are paged", async () => {
    for (let number = 0; number < 30; number += 1) await one.sendTextMessage(plain, `line ${number}`);
    const timeline = two.getRoom(plain).getLiveTimeline();
    await untilText(two, plain, "line 29");
    let token = null;
    const bodies = [];
    do {
        const page = await two.createMessagesRequest(plain, token, 10, "b");
        bodies.push(...page.chunk.map((event) => event.content.body));
        token = page.end;
    } while (token);
    check(bodies.filter((body) => /^line /.test(body ?? "")).length === 30, `30 lines, not ${bodies.length} events`);
    check(timeline.getEvents().length > 0, "the timeline has events");
});
if (values.restarts) {
    await step("a server that is killed and started loses nothing that was said", async () => {
        const { event_id } = await one.sendTextMessage(room, "before the crash");
        await restartServer();
        check((await stored(one, `/_matrix/client/v3/rooms/${room}/event/${event_id}`)).event_id === event_id, "it is there");
        await untilText(two, room, "before the crash", 60);
        await until("one to send again", () => one.sendTextMessage(room, "after the crash").then(() => true, () => false));
        await untilText(two, room, "after the crash", 60);
        await nio.do("read", { room_id: room, body: "after the crash" });
    }, 180);
}
await step("display names and power levels reach others", async () => {
    await two.setDisplayName("Two of Two");
    await until("the name", () => one.getRoom(plain).getMember(ids.two).name === "Two of Two");
    await one.setPowerLevel(plain, ids.two, 50);
    await until("the level", () => two.getRoom(plain).getMember(ids.two).powerLevel === 50);
});
await step("account data and tags come back by sync", async () => {
    await one.setAccountData("org.example.suite", { value: 1 });
    await until("account data", () => one.getAccountData("org.example.suite")?.getContent().value === 1);
    await one.setRoomTag(plain, "m.favourite", { order: 0.5 });
    await until("the tag", () => one.getRoom(plain).tags["m.favourite"]);
});
await step("an alias leads to the room", async () => {
    const alias = `#talk${suffix}:${domain(ids.one)}`;
    await one.createAlias(alias, plain);
    check((await one.getRoomIdForAlias(alias)).room_id === plain, "the alias resolves");
    await one.deleteAlias(alias);
});
await step("a room is upgraded and people follow", async () => {
    const { replacement_room } = await one.upgradeRoom(plain, "11");
    await until("the tombstone", () =>
        two.getRoom(plain).currentState.getStateEvents("m.room.tombstone", "")?.getContent().replacement_room === replacement_room);
    await one.invite(replacement_room, ids.two).catch(() => {});
    await two.joinRoom(replacement_room);
    await untilMember(two, replacement_room, "join");
    check(two.getRoom(replacement_room).findPredecessor()?.roomId === plain, "the new room names the old one");
});
await step("two is kicked, banned and unbanned", async () => {
    const { room_id } = await one.createRoom({ preset: "public_chat" });
    await two.joinRoom(room_id, { viaServers: [domain(ids.one)] });
    await untilMember(two, room_id, "join");
    await one.kick(room_id, ids.two, "a reason");
    await untilMember(two, room_id, "leave");
    await one.ban(room_id, ids.two);
    // Whose server has nobody in the room any more need not hear of it.
    await until("the ban", () => one.getRoom(room_id).getMember(ids.two).membership === "ban");
    const refused = await two.joinRoom(room_id, { viaServers: [domain(ids.one)] }).then(() => null, (error) => error);
    check(refused?.httpStatus === 403, `a banned user is refused, not ${refused}`);
    await one.unban(room_id, ids.two);
    await two.joinRoom(room_id, { viaServers: [domain(ids.one)] });
    await untilMember(two, room_id, "join");
});
await step("push rules can be changed", async () => {
    await two.addPushRule("global", "content", `word${suffix}`, { actions: ["notify"], pattern: "word" });
    const rules = await two.getPushRules();
    check(rules.global.content.some((rule) => rule.rule_id === `word${suffix}`), "the rule is there");
    await two.deletePushRule("global", "content", `word${suffix}`);
});
await step("an access token is refreshed", async () => {
    const before = one.getAccessToken();
    const answer = await sdk.createClient({ baseUrl: first }).refreshToken(one.http.opts.refreshToken ?? one.getRefreshToken());
    check(answer.access_token && answer.access_token !== before, "a new token");
    one.setAccessToken(answer.access_token);
    check((await one.whoami()).user_id === ids.one, "the new token works");
});
await step("everybody logs out and their tokens end", async () => {
    const token = two.getAccessToken();
    await nio.do("logout");
    two.stopClient();
    await two.logout(true);
    one.stopClient();
    await one.logout(true);
    const answer = await fetch(`${second}/_matrix/client/v3/account/whoami`, { headers: { Authorization: `Bearer ${token}` } });
    check(answer.status === 401 && (await answer.json()).errcode === "M_UNKNOWN_TOKEN", "the token is unknown");
});
nio.stop();
finish();
