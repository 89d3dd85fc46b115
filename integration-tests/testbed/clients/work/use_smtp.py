"""Clients of SMTP, where the server speaks first, over TLS that begins within the connection (STARTTLS)."""
import smtplib
import ssl

import work


class Client:
    def __init__(self, number, host, port, authority):
        self.smtp = smtplib.SMTP(host, port, timeout=10)
        context = ssl.create_default_context(cafile=authority)
        self.smtp.starttls(context=context)
        self.smtp.ehlo()

    def operate(self, number):
        self.smtp.sendmail("client@example.org", ["collector@example.org"], f"Subject: {number}\r\n\r\n{number}\r\n")

    def close(self):
        self.smtp.close()


work.run(Client)
