# shellcheck shell=bash
# What the scripts in this folder share: source it, do not run it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=$ROOT/.cache
# Used by the scripts that source this file.
# shellcheck disable=SC2034
PYTHON=$ROOT/.venv/bin/python

# Nothing is kept outside the repository, so an empty or read-only HOME is enough.
export UV_CACHE_DIR=${UV_CACHE_DIR:-$CACHE/uv}
export UV_PYTHON_INSTALL_DIR=${UV_PYTHON_INSTALL_DIR:-$CACHE/python}
export UV_PYTHON_BIN_DIR=${UV_PYTHON_BIN_DIR:-$CACHE/bin}
export UV_TOOL_DIR=${UV_TOOL_DIR:-$CACHE/tools}
export UV_NO_PROGRESS=1
export PIP_CACHE_DIR=${PIP_CACHE_DIR:-$CACHE/pip}
export PIP_DISABLE_PIP_VERSION_CHECK=1

# Trust whom the machine trusts (a company's proxy, say), where it has a list at all.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt; do
  if [ -e "$bundle" ]; then
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
  fi
done

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

say() {
  printf '==> %s\n' "$*" >&2
}
