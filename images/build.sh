#!/usr/bin/env bash
# Builds one image for each of its platforms, pushes them, and gives all of them one tag.
#
# In the environment: REPOSITORY (an address in ECR), TAG, DOCKERFILE, CONTEXT, PLATFORMS (`linux/amd64 linux/arm64`),
# and CodeBuild's own CODEBUILD_BUILD_NUMBER. DOCKER_HUB: where images of Docker Hub are had instead, if somewhere.
set -euo pipefail

aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"
hub=(${DOCKER_HUB:+--build-arg "HUB=${DOCKER_HUB}"})
parts=()
for platform in ${PLATFORMS}; do
  # Tags never change their image, and a build that was broken off may have pushed this platform before
  part="${REPOSITORY}:${TAG}-${platform##*/}-${CODEBUILD_BUILD_NUMBER}"
  docker buildx build --platform "${platform}" --file "${DOCKERFILE}" --tag "${part}" --load \
    "${hub[@]}" "${CONTEXT}"
  docker push --quiet "${part}"
  parts+=("${part}")
done
docker buildx imagetools create --tag "${REPOSITORY}:${TAG}" "${parts[@]}"
