#!/usr/bin/env bash
# Installs Podman where it is missing, and configures it where a plain `podman run` does not work.
#
# On machines that may not raise resource limits, and on those with cgroups of both versions, Podman's defaults
# do not start a container. What is needed there goes into a file of its own, which is written only then.
set -euo pipefail

config=/etc/containers/containers.conf.d/porter.conf
trial=porter-trial-of-podman

if ! command -v podman > /dev/null; then
  test "$(id -u)" = 0 || { echo "only root can install podman" >&2; exit 1; }
  command -v apt-get > /dev/null || { echo "there is no apt-get here; install podman by hand" >&2; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends \
    podman runc crun buildah containernetworking-plugins iptables catatonit > /dev/null
fi

# An image of one program that needs no library is enough to see whether containers start.
starts() {
  podman run --rm --network=none --pull=never "localhost/$trial" /bin/true 2>&1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"; podman rmi -f "localhost/$trial" > /dev/null 2>&1 || true' EXIT
mkdir -p "$folder/bin"
for file in /bin/true $(ldd /bin/true | grep -o '/[^ ]*'); do
  mkdir -p "$folder$(dirname "$file")"
  cp -L "$file" "$folder$file"
done
tar -C "$folder" -c . | podman import -q - "localhost/$trial" > /dev/null

if said=$(starts); then
  exit 0
fi
test "$(id -u)" = 0 || { echo "podman does not start a container: $said" >&2; exit 1; }
if [ ! -e "$config" ]; then
  processes=$(cat /proc/sys/kernel/pid_max)
  mkdir -p "$(dirname "$config")"
  cat > "$config" << CONF
# Written by porter's containers/install-podman.sh: without it no container starts on this machine.
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=$processes:$processes"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
fi
if ! said=$(starts); then
  echo "podman does not start a container: $said" >&2
  exit 1
fi
