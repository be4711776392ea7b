# shellcheck shell=bash disable=SC2154
# Of several gateways each server leads its own visitors. Only a server that manages the Swarm can start and remove the second ones, which are
# one service for all servers: a state of that server does so, before the first of them begins and after the last one has ended.
start_second() { within 15 is_there "$second"; }
is_there() { [ -n "$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$1" | head -n 1)" ]; }
remove_second() { :; }
