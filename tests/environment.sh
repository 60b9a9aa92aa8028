# The environment that the quickstart and the tests share; sourced, in the project's top folder.
# Made from requirements.lock once, and again when that changes. CURATE_VENV says where it lies
# (default .venv), CURATE_PYTHON which Python makes it.
venv=${CURATE_VENV:-.venv}

fail() {
    echo "error: $*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${CURATE_PYTHON:+"$CURATE_PYTHON"} \
        python3.11 python3.12 python3.13 python3.14 python3 python; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, and python3 is $(python3 --version 2>&1 || true)"
}

quiet_pip() {
    "$venv/bin/python" -m pip --quiet --quiet --disable-pip-version-check "$@"
}

# Does the stamp $1 in the environment say that it was made from this file, at this place?
made_from() {
    [[ -f $venv/$1.stamp && $(<"$venv/$1.stamp") == "$(pwd; cksum <"$1")" ]]
}

mark() {
    (pwd; cksum <"$1") >"$venv/$1.stamp"
}

install_dependencies() {
    local python
    python=$(find_python)
    echo "making $venv with $("$python" --version); the first time this takes minutes" >&2
    "$python" -m venv --clear "$venv" ||
        fail "$python cannot make environments; on Debian and Ubuntu install python3-venv"
    quiet_pip install --no-compile --require-hashes -r requirements.lock
    # pip would do this on one core; a package may hold files that are no Python 3.
    "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 || true
    mark requirements.lock
}

install_project() {
    quiet_pip install --no-deps --no-build-isolation -e .
    mark pyproject.toml
}

enter_environment() {
    made_from requirements.lock || install_dependencies
    made_from pyproject.toml || install_project
    PATH="$(cd "$venv/bin" && pwd):$PATH"
    export PATH
}
