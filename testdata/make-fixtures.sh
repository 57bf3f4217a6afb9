#!/usr/bin/env bash
# Make the archives in this folder with the programs that people build images with.
# README.md lists them. Needs root on Debian 12 with Go, and
#
#   apt-get install buildah containerd docker.io docker-registry jq podman runc skopeo zstd
#
# BuildKit, buildx, a newer Docker engine and crane are built from their Go modules into
# the folder given (some minutes, once). Nothing is pulled: images are FROM scratch.
#
#   testdata/make-fixtures.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/multi-registry-push-fixtures}
mkdir -p "$tools"
export PATH=$tools:$PATH
export SOURCE_DATE_EPOCH=1767225600 # 2026-01-01

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || :; done 2>/dev/null
  umount -R "$work" 2>/dev/null || :
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap finish EXIT

# program NAME MODULE@VERSION PACKAGE builds a command of a module that "go install" refuses.
program() {
  [ -x "$tools/$1" ] && return
  local source=$work/source
  source=$(go mod download -json "$2" | jq -r .Dir)
  cp -r "$source" "$work/$1"
  chmod -R u+w "$work/$1"
  (cd "$work/$1" && CGO_ENABLED=0 GOFLAGS=-mod=mod go build -buildvcs=false -trimpath -o "$tools/$1" "$3")
}
# background COMMAND... runs it until this script ends.
background() {
  "$@" >>"$work/log" 2>&1 </dev/null &
  pids+=($!)
}
# until_ready COMMAND...
until_ready() {
  for _ in $(seq 150); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  tail -20 "$work/log" >&2
  echo "not ready: $*" >&2
  exit 1
}
engine() { # engine SOCKET METHOD PATH [curl flags]
  local socket=$1 method=$2 path=$3
  shift 3
  curl -sSf --unix-socket "$socket" -X "$method" -H 'Content-Type: application/x-tar' "$@" "http://engine$path"
}

program buildkitd github.com/moby/buildkit@v0.26.3 ./cmd/buildkitd
program buildx github.com/docker/buildx@v0.30.1 ./cmd/buildx
program dockerd29 github.com/moby/moby/v2@v2.0.0-beta.24 ./cmd/dockerd
program crane github.com/google/go-containerregistry@v0.22.1 ./cmd/crane

# --- what goes into the images ---------------------------------------------------------
context=$work/context
mkdir "$context"
for arch in amd64 arm64; do
  go run "$here/make/hello.go" "$arch" "hello from linux/$arch" >"$context/hello-$arch"
  chmod 755 "$context/hello-$arch"
done
echo 'the same on all platforms' >"$context/shared.txt"
echo 'only in the other image' >"$context/other.txt"
touch -d "@$SOURCE_DATE_EPOCH" "$context"/*
cat >"$context/Dockerfile" <<'DOCKERFILE'
FROM scratch AS app
ARG TARGETARCH=amd64
COPY shared.txt /etc/shared.txt
COPY hello-${TARGETARCH} /hello
ENTRYPOINT ["/hello"]

FROM app AS other
COPY other.txt /etc/other.txt
DOCKERFILE

# --- BuildKit --------------------------------------------------------------------------
registry=localhost:5099
cat >"$work/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:5099"}
YAML
cat >"$work/buildkitd.toml" <<TOML
[registry."$registry"]
  http = true
TOML
background docker-registry serve "$work/registry.yml"
background buildkitd --config "$work/buildkitd.toml" --root "$work/buildkit" --addr "unix://$work/buildkit.sock" \
  --oci-worker=true --containerd-worker=false --oci-worker-binary runc --oci-worker-net host
export BUILDX_CONFIG=$work/buildx-config DOCKER_CONFIG=$work/docker-config
mkdir "$DOCKER_CONFIG" && echo '{}' >"$DOCKER_CONFIG/config.json"
until_ready test -S "$work/buildkit.sock"
until_ready curl -sf "http://$registry/v2/"
until_ready buildx create --name fixtures --driver remote "unix://$work/buildkit.sock"
until_ready buildx inspect fixtures

build() { buildx build --target app --builder fixtures --progress quiet "$@" "$context" >/dev/null; }

# BuildKit runs this image to make SBOMs (docs/attestations/sbom-protocol.md of BuildKit).
mkdir "$work/sbom"
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/sbom/scan" "$here/make/scan.go"
printf 'FROM scratch\nCOPY scan /scan\nENTRYPOINT ["/scan"]\n' >"$work/sbom/Dockerfile"
buildx build --builder fixtures --progress quiet --provenance=false -o "type=image,push=true,name=$registry/scan:1" "$work/sbom" >/dev/null

both=(--platform linux/amd64,linux/arm64)
build "${both[@]}" --provenance=mode=max --sbom="generator=$registry/scan:1" -t example.com/app:1.0.0 \
  -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-attested.tar"
for arch in amd64 arm64; do
  build --platform "linux/$arch" --provenance=mode=max -t example.com/app:1.0.0 \
    -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-$arch.tar"
done
build "${both[@]}" --provenance=false -t example.com/app:1.0.0 -t example.com/app:latest -t docker.io/example/app:1 \
  -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-three-names.tar"
build --provenance=false -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-zstd.tar,compression=zstd,force-compression=true"
build --provenance=false -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-estargz.tar,compression=estargz,force-compression=true"
build --provenance=false -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-uncompressed.tar,compression=uncompressed,force-compression=true"
rm -rf "$here/buildkit-layout"
build --provenance=mode=min -o "type=oci,rewrite-timestamp=true,dest=$here/buildkit-layout,tar=false"
rm -rf "$here/buildkit-layout/ingest"
build --provenance=false -t example.com/app:1.0.0 -o "type=docker,rewrite-timestamp=true,dest=$here/buildkit-docker.tar"
build --provenance=false -t example.com/other:1 --target other -o "type=docker,rewrite-timestamp=true,dest=$work/other.tar"

# --- Docker 20.10: the classic form; layers that two images share are links ------------
background "$here/../.ci/engine" "$work/engine"
until_ready engine "$work/engine/docker.sock" GET /_ping
load() { # load SOCKET
  engine "$1" POST /images/load --data-binary "@$here/buildkit-docker.tar" >/dev/null
  engine "$1" POST /images/load --data-binary "@$work/other.tar" >/dev/null
  engine "$1" POST "/images/example.com/app:1.0.0/tag?repo=example.com/app&tag=latest"
}
load "$work/engine/docker.sock"
save() { engine "$1" GET "/images/get?names=$2" >"$here/$3"; }
save "$work/engine/docker.sock" 'example.com/app:1.0.0&names=example.com/app:latest&names=example.com/other:1' docker20-three-tags.tar
save "$work/engine/docker.sock" example.com/app:1.0.0 docker20.tar

# --- Docker 25 and later: a layout and the classic manifest in one archive -------------
DOCKERD=dockerd29 background "$here/../.ci/engine" "$work/engine29" --feature containerd-snapshotter=false
until_ready engine "$work/engine29/docker.sock" GET /_ping
load "$work/engine29/docker.sock"
save "$work/engine29/docker.sock" 'example.com/app:1.0.0&names=example.com/app:latest&names=example.com/other:1' docker29-three-tags.tar

# The containerd store keeps what was built: here both platforms and their attestations.
DOCKERD=dockerd29 background "$here/../.ci/engine" "$work/engine29c" --feature containerd-snapshotter=true
until_ready engine "$work/engine29c/docker.sock" GET /_ping
engine "$work/engine29c/docker.sock" POST /images/load --data-binary "@$here/buildkit-attested.tar" >/dev/null
save "$work/engine29c/docker.sock" example.com/app:1.0.0 docker29-containerd.tar

# --- Skopeo, Buildah, Podman -----------------------------------------------------------
cat >"$work/storage.conf" <<CONF
[storage]
driver = "vfs"
graphroot = "$work/storage"
runroot = "$work/storage-run"
CONF
export CONTAINERS_STORAGE_CONF=$work/storage.conf
rm -f "$here"/{skopeo,buildah,podman}-*.tar
mkdir "$work/index"
tar -C "$work/index" -xf "$here/buildkit-attested.tar"
skopeo copy -q --all "oci:$work/index" "oci-archive:$here/skopeo-oci.tar:1.0.0"
skopeo copy -q "docker-archive:$here/buildkit-docker.tar" "docker-archive:$here/skopeo-docker.tar:example.com/app:1.0.0"

image=$(buildah bud -q --isolation chroot --layers --timestamp "$SOURCE_DATE_EPOCH" --build-arg TARGETARCH=amd64 --target app \
  -t example.com/app:1.0.0 "$context")
buildah push -q "$image" "oci-archive:$here/buildah-oci.tar:1.0.0"
buildah push -q "$image" "docker-archive:$here/buildah-docker.tar:example.com/app:1.0.0"
podman load -q -i "$work/other.tar" >/dev/null
podman save -q -m -o "$here/podman-two-images.tar" example.com/app:1.0.0 example.com/other:1

# --- go-containerregistry: what Kaniko, ko and Bazel's rules write ---------------------
crane push "$here/buildkit-docker.tar" "$registry/app:1.0.0" >/dev/null
crane pull "$registry/app:1.0.0" "$here/crane-docker.tar"

# --- what tests may expect of them, told by other programs than ours -------------------
"$here/make/expect.sh" "$here" >"$here/fixtures.json"
