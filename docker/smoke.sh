#!/bin/sh
# Builds the image, runs docker/compose.yaml, kills a node under load and requires that no call is lost; then stops
# the balancer and requires exit code 0. After that docker/replicas.yaml: nodes are edited on one replica and used by the
# other, and a replica and the store are killed, under load. Skips, and says so, where no engine can start.
#
# Uses the engine that runs; without one, root starts its own for this run. Uses NODE_IMAGE and REDIS_IMAGE if they are there
# or can be pulled; else they are made of this machine's node, npm and redis-server, their libraries and busybox.
set -eu
cd "$(dirname "$0")/.."

NODE_IMAGE=${NODE_IMAGE:-node:22-bookworm-slim}
REDIS_IMAGE=${REDIS_IMAGE:-redis:7}
FNLB_IMAGE=fnlb:smoke
PORT=${PORT:-0}
# What replicas.yaml asks for.
PORT_1=0 PORT_2=0 ADMIN_PORT_1=0 ADMIN_PORT_2=0
FNLB_ADMIN_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
REDIS_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
PROJECT=fnlbsmoke
compose_file=docker/compose.yaml
work=$(mktemp -d)
engine=

say() {
  echo "smoke: $*"
}

skip() {
  say "SKIPPED, $*"
  exit 0
}

fail() {
  say "FAILED, $*"
  exit 1
}

compose() {
  if docker compose version >/dev/null 2>&1; then
    docker compose -p "$PROJECT" -f "$compose_file" "$@"
  else
    docker-compose -p "$PROJECT" -f "$compose_file" "$@"
  fi
}

clean_up() {
  status=$?
  trap - EXIT INT TERM
  if docker info >/dev/null 2>&1; then
    [ "$status" -eq 0 ] || compose logs --tail=40 || true
    compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    docker image rm -f "$FNLB_IMAGE" >/dev/null 2>&1 || true
  fi
  if [ -n "$engine" ]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    # An engine leaves its own network namespace mounted.
    umount "$work/exec/netns/default" 2>/dev/null || true
  fi
  rm -rf "$work" || say "could not remove $work"
  exit "$status"
}

start_engine() {
  command -v dockerd >/dev/null || skip "no engine runs here, and dockerd is not installed"
  [ "$(id -u)" -eq 0 ] || skip "no engine runs here, and only root can start one"
  DOCKER_HOST=unix://$work/docker.sock
  export DOCKER_HOST
  dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
    --default-ulimit nofile=20000:20000 >"$work/dockerd.log" 2>&1 &
  engine=$!
  tries=0
  until docker info >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 30 ] || ! kill -0 "$engine" 2>/dev/null; then
      skip "dockerd does not start here: $(tail -n 1 "$work/dockerd.log")"
    fi
    sleep 1
  done
  say "started an engine for this run"
}

# is_there IMAGE: it is, or it can be pulled.
is_there() {
  docker image inspect "$1" >/dev/null 2>&1 || timeout 120 docker pull -q "$1" >/dev/null 2>&1 || {
    say "$1 cannot be pulled"
    return 1
  }
}

# lay_base DIRECTORY PROGRAM...: these programs with their libraries, and a shell.
lay_base() {
  base=$1
  shift
  command -v busybox >/dev/null || skip "there is no busybox to make images with"
  mkdir -p "$base/bin" "$base/etc" "$base/usr/bin" "$base/usr/local/bin" "$base/root" "$base/tmp"
  chmod 1777 "$base/tmp"
  for program in "$@"; do
    file=$(readlink -f "$(command -v "$program")")
    cp "$file" "$base/usr/bin/$program"
    ldd "$file" | grep -o '/[^ ]*' | while read -r library; do
      mkdir -p "$base$(dirname "$library")"
      cp -L "$library" "$base$library"
    done
  done
  cp -L "$(command -v busybox)" "$base/bin/busybox"
  busybox --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$base/bin/$applet"
  done
  ln -s /bin/env "$base/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000:node:/tmp:/bin/sh\n' >"$base/etc/passwd"
  printf 'root:x:0:\nnode:x:1000:\n' >"$base/etc/group"
}

# Everything that the Dockerfile and the compose files ask of a base image: node, npm, a shell.
import_node() {
  base=$work/node
  lay_base "$base" node
  mkdir -p "$base/usr/local/lib/node_modules"
  cp -R "$(npm root -g 2>/dev/null)/npm" "$base/usr/local/lib/node_modules/npm"
  ln -s /usr/local/lib/node_modules/npm/bin/npm-cli.js "$base/usr/bin/npm"
  set -- --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin'
  certificates=/etc/ssl/certs/ca-certificates.crt
  if [ -f "$certificates" ]; then
    # npm must trust in the image whom it trusts here.
    mkdir -p "$base/etc/ssl/certs"
    cp -L "$certificates" "$base$certificates"
    set -- "$@" --change "ENV NODE_EXTRA_CA_CERTS=$certificates"
  fi
  NODE_IMAGE=fnlb-smoke-node
  tar -C "$base" -cf - . | docker import "$@" - "$NODE_IMAGE" >/dev/null
  say "made a base image of node $(node --version) of this machine"
}

import_redis() {
  base=$work/redis
  lay_base "$base" redis-server redis-cli
  mkdir "$base/data"
  # As in the official images; a volume takes over whose it is.
  chown 999:999 "$base/data"
  REDIS_IMAGE=fnlb-smoke-redis
  tar -C "$base" -cf - . | docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$REDIS_IMAGE" >/dev/null
  say "made an image of the redis-server of this machine"
}

# container_of SERVICE
container_of() {
  docker inspect -f '{{.Name}}' "$(compose ps -q "$1")" | sed 's,^/,,'
}

# port_of SERVICE PORT: where it is published.
port_of() {
  compose port "$1" "$2" | sed 's/.*://'
}

# until_healthy SERVICE
until_healthy() {
  container=$(container_of "$1")
  tries=0
  until [ "$(docker inspect -f '{{.State.Health.Status}}' "$container")" = healthy ]; do
    tries=$((tries + 1))
    [ "$tries" -le 60 ] || fail "$1 is not healthy"
    sleep 1
  done
}

# require_clean_end SERVICE
require_clean_end() {
  container=$(container_of "$1")
  docker stop --time 30 "$container" >/dev/null
  code=$(docker inspect -f '{{.State.ExitCode}}' "$container")
  [ "$code" = 0 ] || fail "$1 ended with exit code $code after SIGTERM"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command -v docker >/dev/null || skip "docker is not installed"
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || skip "docker compose is not installed"
docker info >/dev/null 2>&1 || start_engine
is_there "$NODE_IMAGE" || import_node
export NODE_IMAGE REDIS_IMAGE FNLB_IMAGE PORT PORT_1 PORT_2 ADMIN_PORT_1 ADMIN_PORT_2 FNLB_ADMIN_TOKEN REDIS_PASSWORD

say "building the image"
docker build --network host --build-arg "NODE_IMAGE=$NODE_IMAGE" -t "$FNLB_IMAGE" -f docker/Dockerfile . >"$work/build.log" 2>&1 || {
  cat "$work/build.log"
  exit 1
}
[ "$(docker image inspect -f '{{.Config.User}}' "$FNLB_IMAGE")" = 1000:1000 ]
say "version $(docker run --rm "$FNLB_IMAGE" --version), as user 1000"
# What docker/kubernetes.yaml and docker/replicas.yaml run in it beside the balancer.
docker run --rm --entrypoint sleep "$FNLB_IMAGE" 0 || fail "preStop of docker/kubernetes.yaml cannot run"
docker run --rm --entrypoint fnlb "$FNLB_IMAGE" --version >/dev/null || fail "fnlb is not on the path of the image"

compose up -d --no-build
until_healthy fnlb
port=$(port_of fnlb 8081)
say "fnlb is healthy, on port $port"
# Names of nodes take its place.
container=$(container_of fnlb | sed "s,\(${PROJECT}.\)fnlb,\1{},")
node docker/smoke-load.js "http://127.0.0.1:$port" "docker kill $container" "docker start $container"
require_clean_end fnlb
compose down --volumes --timeout 5 >/dev/null 2>&1
say "passed: nothing was lost, and fnlb ended with exit code 0"

if ! is_there "$REDIS_IMAGE"; then
  command -v redis-server >/dev/null || skip "there is no redis-server to make an image with"
  import_redis
fi
compose_file=docker/replicas.yaml
compose up -d --no-build
until_healthy fnlb-1
until_healthy fnlb-2
node docker/smoke-replicas.js "$(container_of fnlb-1)" "$(container_of fnlb-2)" "$(container_of redis)"
require_clean_end fnlb-1
require_clean_end fnlb-2
say "passed: replicas agree, nothing was lost, and both ended with exit code 0"
