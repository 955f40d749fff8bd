"""A matrix-nio client that is told what to do: one JSON command per line of input, one JSON answer per line of output."""

import asyncio
import base64
import hashlib
import json
import sys
import traceback

from nio import (
    AsyncClient,
    AsyncClientConfig,
    KeyVerificationCancel,
    KeyVerificationKey,
    KeyVerificationMac,
    KeyVerificationStart,
    KeysUploadError,
    LoginResponse,
    MatrixRoom,
    MegolmEvent,
    RoomEncryptedImage,
    RoomMessageText,
    ToDeviceError,
    ToDeviceMessage,
    UnknownToDeviceEvent,
)
from nio.crypto import decrypt_attachment
import nio.crypto.sas
from nio.crypto.sas import Sas


class AsNamed:
    """matrix-nio 0.26 names its codes `hkdf-hmac-sha256`, and computes those of `hkdf-hmac-sha256.v2`; this computes what it names."""

    def __init__(self, established):
        self.bytes = established.bytes
        self.calculate_mac = established.calculate_mac_invalid_base64


class UnpaddedBase64Digest:
    """matrix-nio 0.26 commits to its key in hexadecimal; the specification says unpadded base64."""

    def __init__(self, data):
        self.data = data

    def hexdigest(self):
        return base64.b64encode(hashlib.sha256(self.data).digest()).decode().rstrip("=")


nio.crypto.sas.sha256 = UnpaddedBase64Digest
established = Sas.diffie_hellman
Sas.diffie_hellman = lambda sas, key: AsNamed(established(sas, key))


class Agent:
    def __init__(self):
        self.client = None
        self.syncing = None
        self.seen = []
        self.pictures = []
        self.undecrypted = []
        self.verified = False
        self.emoji = None

    async def login(self, base_url, user_id, password, store):
        config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)
        self.client = AsyncClient(base_url, user_id, store_path=store, config=config)
        answer = await self.client.login(password, device_name="nio agent")
        if not isinstance(answer, LoginResponse):
            raise RuntimeError(f"login: {answer}")
        self.client.add_event_callback(self.on_text, RoomMessageText)
        self.client.add_event_callback(self.on_picture, RoomEncryptedImage)
        self.client.add_event_callback(self.on_undecrypted, MegolmEvent)
        self.client.add_to_device_callback(self.on_verification, (
            KeyVerificationStart, KeyVerificationCancel, KeyVerificationKey, KeyVerificationMac, UnknownToDeviceEvent,
        ))
        await self.client.sync(timeout=0, full_state=True)
        # Its server tells others of the device before it has the one-time keys: who hears of it must find them.
        if self.client.should_upload_keys:
            uploaded = await self.client.keys_upload()
            if isinstance(uploaded, KeysUploadError):
                raise RuntimeError(f"keys: {uploaded}")
        self.syncing = asyncio.create_task(self.client.sync_forever(timeout=10000))
        return {"device_id": answer.device_id}

    async def on_text(self, room: MatrixRoom, event):
        self.seen.append({"room_id": room.room_id, "event_id": event.event_id, "sender": event.sender,
                          "body": event.body, "decrypted": bool(event.decrypted)})

    async def on_picture(self, room: MatrixRoom, event):
        self.pictures.append((room.room_id, event))

    async def on_undecrypted(self, room: MatrixRoom, event):
        self.undecrypted.append({"room_id": room.room_id, "event_id": event.event_id})

    async def on_verification(self, event):
        client = self.client
        if isinstance(event, UnknownToDeviceEvent):
            if event.type != "m.key.verification.request":
                return
            content = event.source["content"]
            await self.tell(event.sender, content["from_device"], "m.key.verification.ready", {
                "from_device": client.device_id, "methods": ["m.sas.v1"], "transaction_id": content["transaction_id"],
            })
        elif isinstance(event, KeyVerificationStart):
            await client.accept_key_verification(event.transaction_id)
            await client.to_device(client.key_verifications[event.transaction_id].share_key())
        elif isinstance(event, KeyVerificationKey):
            sas = client.key_verifications[event.transaction_id]
            # matrix-nio 0.26 takes the seven numbers of emoji for bytes and cuts them up again.
            numbers = sas.established_sas.bytes(sas._extra_info).emoji_indices
            self.emoji = [Sas.emoji[number][0].replace("\uFE0F", "") for number in numbers]
            await client.confirm_short_auth_string(event.transaction_id)
        elif isinstance(event, KeyVerificationMac):
            sas = client.key_verifications[event.transaction_id]
            await client.to_device(sas.get_mac())
            await self.tell(event.sender, sas.other_olm_device.device_id, "m.key.verification.done",
                            {"transaction_id": event.transaction_id})
            self.verified = sas.verified

    async def tell(self, user_id, device_id, kind, content):
        answer = await self.client.to_device(ToDeviceMessage(kind, user_id, device_id, content))
        if isinstance(answer, ToDeviceError):
            raise RuntimeError(f"to_device: {answer}")

    async def join(self, room_id):
        return self.good(await self.client.join(room_id))

    async def create(self, invite, encrypted):
        initial = [{"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
        answer = await self.client.room_create(invite=invite, initial_state=initial if encrypted else [])
        self.good(answer)
        return {"room_id": answer.room_id}

    async def send(self, room_id, body):
        content = {"msgtype": "m.text", "body": body}
        answer = await self.client.room_send(room_id, "m.room.message", content, ignore_unverified_devices=True)
        self.good(answer)
        return {"event_id": answer.event_id}

    async def read(self, room_id, body):
        for _ in range(600):
            for event in self.seen:
                if event["room_id"] == room_id and event["body"] == body:
                    return event
            await asyncio.sleep(0.05)
        raise RuntimeError(f"never saw {body!r}; undecrypted: {self.undecrypted}; seen: {self.seen[-5:]}")

    async def joined(self, room_id):
        for _ in range(600):
            if room_id in self.client.rooms and len(self.client.rooms[room_id].users) > 1:
                return {"encrypted": self.client.rooms[room_id].encrypted}
            await asyncio.sleep(0.05)
        raise RuntimeError("never saw the room")

    async def verification(self):
        for _ in range(600):
            if self.verified:
                return {"emoji": self.emoji}
            await asyncio.sleep(0.05)
        raise RuntimeError("never verified")

    async def upload(self, data, content_type):
        import io
        raw = base64.b64decode(data)
        answer, _ = await self.client.upload(io.BytesIO(raw), content_type=content_type, filename="picture.png",
                                             filesize=len(raw))
        self.good(answer)
        return {"content_uri": answer.content_uri}

    async def download(self, mxc):
        answer = await self.client.download(mxc=mxc)
        self.good(answer)
        return {"data": base64.b64encode(answer.body).decode(), "content_type": answer.content_type}

    async def picture(self, room_id, body):
        for _ in range(600):
            for room, event in self.pictures:
                if room == room_id and event.body == body:
                    answer = await self.client.download(mxc=event.url)
                    self.good(answer)
                    plain = decrypt_attachment(answer.body, event.key["k"], event.hashes["sha256"], event.iv)
                    return {"data": base64.b64encode(plain).decode()}
            await asyncio.sleep(0.05)
        raise RuntimeError(f"never saw the picture; undecrypted: {self.undecrypted}")

    async def send_picture(self, room_id, body, data):
        import io
        raw = base64.b64decode(data)
        answer, keys = await self.client.upload(io.BytesIO(raw), content_type="image/png", filename=body, encrypt=True,
                                                filesize=len(raw))
        self.good(answer)
        file = {"v": keys["v"], "key": keys["key"], "iv": keys["iv"], "hashes": keys["hashes"], "url": answer.content_uri}
        content = {"msgtype": "m.image", "body": body, "info": {"mimetype": "image/png", "size": len(raw)}, "file": file}
        answer = await self.client.room_send(room_id, "m.room.message", content, ignore_unverified_devices=True)
        self.good(answer)
        return {"event_id": answer.event_id}

    async def typing(self, room_id):
        return self.good(await self.client.room_typing(room_id, True, 5000))

    async def receipt(self, room_id, event_id):
        return self.good(await self.client.room_read_markers(room_id, event_id, event_id))

    async def redact(self, room_id, event_id):
        return self.good(await self.client.room_redact(room_id, event_id))

    async def logout(self):
        if self.syncing:
            self.syncing.cancel()
        self.good(await self.client.logout())
        await self.client.close()
        return {}

    @staticmethod
    def good(answer):
        if "Error" in type(answer).__name__:
            raise RuntimeError(f"{type(answer).__name__}: {answer}")
        return {}


async def main():
    agent = Agent()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            result = await getattr(agent, command["do"])(**command["with"])
            answer = {"id": command["id"], "result": result}
        except Exception:
            answer = {"id": command["id"], "error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
