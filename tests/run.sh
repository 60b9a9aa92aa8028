#!/usr/bin/env bash
# Lint, types, layers and tests, in an environment made from requirements.lock.
# Arguments go to pytest; CURATE_VENV and CURATE_PYTHON: see environment.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/environment.sh
source tests/environment.sh

find_postgresql() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

if [[ ${CI:-} == true ]] && ! find_postgresql; then
    fail "PostgreSQL is missing (no initdb), and in CI its tests must not be skipped"
fi
enter_environment
ruff check
ruff format --check
mypy
lint-imports
# Most tests start programs and wait for them, so there is one at a time more than there are cores.
# Each computes on one core, for threads that share one with another test's wait for each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
workers=$(python -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))')
pytest --numprocesses "$workers" --dist worksteal "$@"
