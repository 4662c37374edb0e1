#!/usr/bin/env bash
# Copies one image into a repository: the same bytes, all of its platforms, and so the same digest.
#
# In the environment: REPOSITORY (an address in ECR), TAG, and SOURCE, the image with its registry and tag.
set -euo pipefail

aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"
# Since buildx 0.22 only the list of platforms gets the tag, which in this repository nothing could be given twice
docker buildx imagetools create --prefer-index=false --tag "${REPOSITORY}:${TAG}" "${SOURCE}"
