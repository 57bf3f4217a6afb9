#!/usr/bin/env bash
# Print, as JSON, what is in each archive and layout of a folder, read with tar and jq:
#
#   images      each manifest or index that index.json lists, once a digest: its names,
#               media type and platforms (attestations have none), and how many manifests
#               and other blobs the archive holds in all
#   docker      each image of manifest.json: its tags, the digest of its configuration
#               and the digests of its uncompressed layers
set -euo pipefail
cd "$1"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

for file in *.tar */index.json; do
  rm -rf "$work/image" && mkdir "$work/image"
  case $file in
    *.tar) tar -C "$work/image" -xf "$file" ;;
    *) file=${file%/index.json} && cp -r "$file/." "$work/image" ;;
  esac
  blob() { cat "$work/image/blobs/${1/://}"; }

  images='[]'
  if [ -e "$work/image/index.json" ]; then
    images=$(jq '[.manifests | group_by(.digest)[] | {
      digest: .[0].digest, mediaType: .[0].mediaType,
      names: [.[].annotations // {} | .["io.containerd.image.name"] // .["org.opencontainers.image.ref.name"] // empty]
    }]' "$work/image/index.json")
    for digest in $(jq -r '.[].digest' <<<"$images"); do
      platforms=$(blob "$digest" | jq -r '.manifests // [] | .[].platform // empty | select(.os != "unknown") | .os + "/" + .architecture')
      if [ -z "$platforms" ]; then
        platforms=$(blob "$(blob "$digest" | jq -r .config.digest)" | jq -r '.os + "/" + .architecture')
      fi
      images=$(jq --arg digest "$digest" --arg platforms "$platforms" \
        'map(if .digest == $digest then .platforms = ($platforms | split("\n")) else . end)' <<<"$images")
    done
  fi

  docker='[]'
  if [ -e "$work/image/manifest.json" ]; then
    while read -r image; do
      config=$work/image/$(jq -r .Config <<<"$image")
      docker=$(jq --argjson image "$image" --arg digest "sha256:$(sha256sum <"$config" | cut -d' ' -f1)" --slurpfile config "$config" \
        '. + [{tags: ($image.RepoTags // []), config: $digest, diffIDs: $config[0].rootfs.diff_ids}]' <<<"$docker")
    done < <(jq -c '.[]' "$work/image/manifest.json")
  fi
  jq -n --arg file "$file" --argjson images "$images" --argjson docker "$docker" \
    '{($file): ({images: $images, docker: $docker} | with_entries(select(.value != [])))}'
done | jq -s add
