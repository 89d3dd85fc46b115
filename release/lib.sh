# Shared by the scripts beside it, which run in the root of the checkout.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
registry=${REGISTRY:-ghcr.io/ilb-dev}
files=${RELEASE_FILES:-${CARGO_TARGET_DIR:-target}/release-files}
readonly image=$registry/ilb charts=$registry/charts
version=${RELEASE_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"$/\1/p' Cargo.toml)}

# program_archive ARCH: the name of the archive with the program for a machine.
program_archive() { echo "ilb-$version-linux-$1.tar.gz"; }

say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# tool NAME: the path of a program of the testbed.
tool() { integration-tests/testbed/prepare "$1" | sed 's/^[^=]*=//'; }

# output NAME VALUE: passes a result on to the next steps of a workflow.
output() { [[ -z ${GITHUB_OUTPUT:-} ]] || echo "$1=$2" >>"$GITHUB_OUTPUT"; }
