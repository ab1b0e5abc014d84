"""Clients of /checkin who take their time.

    slow_clients.py PORT CA CERTIFICATE KEY HOW UDID [TOKEN]

HOW: `trickle` sends a whole message in small pieces and prints the status; `cut` leaves in the middle of a body of
which the message so far looks whole; `silent` sends half of it and waits until the server is tired of it; `endless`
sends chunk after chunk and prints the status; `hold` opens twenty connections that each send a byte now and then until
standard input ends.
"""
import socket
import ssl
import sys
import time

port, ca, certificate, key, how, udid = sys.argv[1:7]
token = sys.argv[7] if len(sys.argv) > 7 else ""
message = (f'<plist version="1.0"><dict><key>MessageType</key><string>SetBootstrapToken</string><key>UDID</key>'
           f'<string>{udid}</string><key>BootstrapToken</key><data>{token}</data></dict></plist>').encode()


def start(length):
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    plain = socket.create_connection(("127.0.0.1", int(port)))
    connection = context.wrap_socket(plain, server_hostname="mdm.example.com")
    length = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    connection.sendall(f"PUT /checkin HTTP/1.1\r\nHost: mdm.example.com\r\nConnection: close\r\n{length}\r\n\r\n".encode())
    return connection


def status(connection):
    said = b""
    try:
        while piece := connection.recv(4096):
            said += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return said.split(b" ")[1].decode() if said else "closed"


if how == "trickle":
    c = start(len(message))
    for at in range(0, len(message), 16):
        c.sendall(message[at:at + 16])
        time.sleep(0.1)
    print(status(c))
elif how == "cut":
    c = start(len(message) + 100)
    c.sendall(message)
    time.sleep(0.5)
    c.close()
elif how == "silent":
    c = start(len(message) + 100)
    c.sendall(message)
    print(status(c))
elif how == "endless":
    c = start(None)
    try:
        for _ in range(4096):
            c.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
    except (ConnectionError, ssl.SSLError):
        pass
    print(status(c))
elif how == "hold":
    held = [start(len(message) + 1000) for _ in range(20)]
    for c in held:
        c.sendall(message)
    print("held", flush=True)
    sys.stdin.read()
