#!/bin/sh
# Print an overlay as one file, below the comment that its kustomization begins with: make manifests
set -eu
overlay=$(dirname "$0")/overlays/$1
sed '/^$/q' "$overlay/kustomization.yaml"
"${KUBECTL:-kubectl}" kustomize "$overlay"
