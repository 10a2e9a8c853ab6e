#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The host's end of a TCP connection.

usage: tcp.py receive ADDRESS PORT FILE
       tcp.py send ADDRESS PORT FILE

Exits with 0 when all was sent or the peer's end of file has come.
"""
import socket
import sys


def receive(address, path):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.create_server(address, family=family) as listener:
        conn, _ = listener.accept()
        with conn, open(path, "wb") as out:
            while data := conn.recv(1 << 16):
                out.write(data)


def send(address, path):
    with socket.create_connection(address) as conn, open(path, "rb") as data:
        conn.sendfile(data)
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(1 << 16):
            pass


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in ("receive", "send"):
        sys.exit(__doc__)
    work = receive if sys.argv[1] == "receive" else send
    work((sys.argv[2], int(sys.argv[3])), sys.argv[4])


main()
