"""A mail server: `mail.py HOST PORT CERTIFICATE KEY FOLDER`. It reads the PROXY protocol, offers STARTTLS, accepts mail only
then, and stores each message as a file in FOLDER, named like its subject, before it confirms it. In the file is the client's
address, as the PROXY protocol tells it.
"""
import asyncio
import email
import os
import pathlib
import signal
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Store:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    async def handle_PROXY(self, server, session, envelope, proxy_data):
        # The session begins anew with TLS, and forgets it; the server is one of the connection's own.
        server.client = proxy_data.src_addr
        return proxy_data.valid

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(0.02)
        subject = email.message_from_bytes(envelope.content)["Subject"]
        self._store(subject, server.client)
        return "250 Message accepted for delivery"

    def _store(self, subject, client):
        name = self.folder / subject
        # The same message again is another file.
        while name.exists():
            name = name.with_name(name.name + "+")
        name.with_suffix(".new").write_text(str(client))
        os.rename(name.with_suffix(".new"), name)


async def main():
    host, port, certificate, key, folder = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    store = Store(folder)
    loop = asyncio.get_running_loop()

    def new_session():
        return SMTP(store, tls_context=context, require_starttls=True, proxy_protocol_timeout=5, loop=loop)

    server = await loop.create_server(new_session, host, int(port))
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.close()


asyncio.run(main())
