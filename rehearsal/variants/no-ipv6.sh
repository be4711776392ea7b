# shellcheck shell=bash
# The address that the provider assigned is configured nowhere.
ip -6 address flush scope global dev eth0
ip -6 route flush default
