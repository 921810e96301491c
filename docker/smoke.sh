#!/bin/sh
# Builds the image, runs docker/compose.yaml, kills a node under load and requires that no call is lost; then stops
# the balancer and requires exit code 0. Skips, and says so, where no engine can start.
#
# Uses the engine that runs; without one, root starts its own for this run. Uses NODE_IMAGE if it is there or can be
# pulled; else the base image is made of this machine's node, npm, their libraries and busybox.
set -eu
cd "$(dirname "$0")/.."

NODE_IMAGE=${NODE_IMAGE:-node:22-bookworm-slim}
FNLB_IMAGE=fnlb:smoke
PORT=${PORT:-0}
PROJECT=fnlbsmoke
work=$(mktemp -d)
engine=

say() {
  echo "smoke: $*"
}

skip() {
  say "SKIPPED, $*"
  exit 0
}

compose() {
  if docker compose version >/dev/null 2>&1; then
    docker compose -p "$PROJECT" -f docker/compose.yaml "$@"
  else
    docker-compose -p "$PROJECT" -f docker/compose.yaml "$@"
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

# Everything that the Dockerfile and the compose file ask of a base image: node, npm, a shell.
import_base() {
  command -v busybox >/dev/null || skip "$NODE_IMAGE cannot be pulled, and there is no busybox to make a base image with"
  base=$work/base
  node=$(readlink -f "$(command -v node)")
  modules=$(npm root -g)
  mkdir -p "$base/bin" "$base/etc" "$base/usr/bin" "$base/usr/local/lib/node_modules" "$base/root" "$base/tmp"
  chmod 1777 "$base/tmp"
  cp "$node" "$base/usr/bin/node"
  cp -R "$modules/npm" "$base/usr/local/lib/node_modules/npm"
  ln -s /usr/local/lib/node_modules/npm/bin/npm-cli.js "$base/usr/bin/npm"
  ldd "$node" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$base$(dirname "$library")"
    cp -L "$library" "$base$library"
  done
  cp -L "$(command -v busybox)" "$base/bin/busybox"
  busybox --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$base/bin/$applet"
  done
  ln -s /bin/env "$base/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000:node:/tmp:/bin/sh\n' >"$base/etc/passwd"
  printf 'root:x:0:\nnode:x:1000:\n' >"$base/etc/group"
  set -- --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin'
  certificates=/etc/ssl/certs/ca-certificates.crt
  if [ -f "$certificates" ]; then
    # npm must trust in the image whom it trusts here.
    mkdir -p "$base/etc/ssl/certs"
    cp -L "$certificates" "$base$certificates"
    set -- "$@" --change "ENV NODE_EXTRA_CA_CERTS=$certificates"
  fi
  NODE_IMAGE=fnlb-smoke-base
  tar -C "$base" -cf - . | docker import "$@" - "$NODE_IMAGE" >/dev/null
  say "made a base image of $(node --version) of this machine"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command -v docker >/dev/null || skip "docker is not installed"
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || skip "docker compose is not installed"
docker info >/dev/null 2>&1 || start_engine
if ! docker image inspect "$NODE_IMAGE" >/dev/null 2>&1 && ! timeout 120 docker pull -q "$NODE_IMAGE" >/dev/null 2>&1; then
  say "$NODE_IMAGE cannot be pulled"
  import_base
fi
export NODE_IMAGE FNLB_IMAGE PORT

say "building the image"
docker build --network host --build-arg "NODE_IMAGE=$NODE_IMAGE" -t "$FNLB_IMAGE" -f docker/Dockerfile . >"$work/build.log" 2>&1 || {
  cat "$work/build.log"
  exit 1
}
[ "$(docker image inspect -f '{{.Config.User}}' "$FNLB_IMAGE")" = 1000:1000 ]
say "version $(docker run --rm "$FNLB_IMAGE" --version), as user 1000"

compose up -d --no-build
fnlb=$(compose ps -q fnlb)
tries=0
until [ "$(docker inspect -f '{{.State.Health.Status}}' "$fnlb")" = healthy ]; do
  tries=$((tries + 1))
  [ "$tries" -le 60 ] || { say "FAILED, fnlb is not healthy"; exit 1; }
  sleep 1
done
port=$(compose port fnlb 8081)
port=${port##*:}
say "fnlb is healthy, on port $port"

container="${PROJECT}$(docker inspect -f '{{.Name}}' "$fnlb" | sed "s,^/$PROJECT,,; s,fnlb,{},")"
node docker/smoke-load.js "http://127.0.0.1:$port" "docker kill $container" "docker start $container"

docker stop --time 30 "$fnlb" >/dev/null
code=$(docker inspect -f '{{.State.ExitCode}}' "$fnlb")
[ "$code" = 0 ] || { say "FAILED, fnlb ended with exit code $code after SIGTERM"; exit 1; }
say "passed: nothing was lost, and fnlb ended with exit code 0"
