#!/usr/bin/python3
"""Holds each packet that is routed into one of its TUN devices, and then sends it on from there: the kernel has no delay of its own.

relay <milliseconds> <device>...
"""
import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
LONGEST_PACKET = 65535


def open_device(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def send(device, packet):
    try:
        os.write(device, packet)
    except OSError:
        # A device that is down takes nothing; a packet is lost, as it would be.
        pass


def relay(seconds, devices):
    held = collections.deque()
    poll = select.poll()
    for device in devices:
        poll.register(device, select.POLLIN)
    while True:
        wait = None if not held else max(0, held[0][0] - time.monotonic()) * 1000
        for device, _ in poll.poll(wait):
            due = time.monotonic() + seconds
            try:
                while True:
                    held.append((due, device, os.read(device, LONGEST_PACKET)))
            except BlockingIOError:
                pass
        # Of equal delay, so that the first one read is the first one due.
        while held and held[0][0] <= time.monotonic():
            _, device, packet = held.popleft()
            send(device, packet)


relay(float(sys.argv[1]) / 1000, [open_device(name) for name in sys.argv[2:]])
