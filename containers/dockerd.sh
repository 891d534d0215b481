#!/usr/bin/env bash
# Runs a Docker daemon of its own for the tests, with nothing installed: `dockerd.sh start FOLDER`, `dockerd.sh stop FOLDER`.
#
# FOLDER/packages gets the programs (unpacked Debian packages, kept for the next time), FOLDER/run everything else.
# `start` prints the value for DOCKER_HOST once the daemon answers.
set -euo pipefail
what=${1:?start or stop}
folder=$(realpath -m "${2:?a folder}")
programs=$folder/packages/root
export PATH=$programs/usr/sbin:$programs/usr/bin:$PATH
socket=$folder/run/docker.sock

stop() {
  if [ -e "$folder/run/dockerd.pid" ]; then
    pid=$(cat "$folder/run/dockerd.pid")
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 100); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
    kill -9 "$pid" 2> /dev/null || true
  fi
  umount "$folder/run/exec/netns/default" 2> /dev/null || true
  # The daemon mounts its data folder onto itself.
  umount --lazy "$folder/run/data" 2> /dev/null || true
  rm -rf "$folder/run"
}

if [ "$what" = stop ]; then
  stop
  exit 0
fi
test "$(id -u)" = 0 || { echo "only root can start dockerd" >&2; exit 1; }
if ! command -v dockerd > /dev/null || ! command -v docker > /dev/null || ! command -v containerd > /dev/null; then
  command -v apt-get > /dev/null || { echo "there is no dockerd here and no apt-get to fetch it" >&2; exit 1; }
  mkdir -p "$folder/packages"
  cd "$folder/packages"
  apt-get update -qq
  apt-get download -qq docker.io containerd runc tini
  mkdir -p "$programs"
  for package in *.deb; do
    dpkg-deb -x "$package" "$programs"
  done
  rm -f ./*.deb
fi
stop
mkdir -p "$folder/run"
# Nothing of the caller's environment but its PATH: the daemon hands none of it on.
env -i PATH="$PATH" setsid dockerd --data-root "$folder/run/data" --exec-root "$folder/run/exec" \
  --pidfile "$folder/run/dockerd.pid" --host "unix://$socket" --iptables=false --ip6tables=false --bridge=none \
  --storage-driver=overlay2 > "$folder/run.log" 2>&1 < /dev/null &
for _ in $(seq 150); do
  if DOCKER_HOST=unix://$socket docker version > /dev/null 2>&1; then
    echo "unix://$socket"
    exit 0
  fi
  sleep 0.2
done
echo "dockerd did not start: $(tail -n 1 "$folder/run.log")" >&2
stop
exit 1
