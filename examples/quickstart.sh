#!/usr/bin/env bash
# The whole loop on generated pictures: makes an environment, installs curate, draws a labeled
# folder and an inbox, trains, watches once, fine-tunes, exports. Run it as often as you like.
# CURATE_QUICKSTART says where it works (default .quickstart); CURATE_VENV: see environment.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/environment.sh
source tests/environment.sh
enter_environment

work=${CURATE_QUICKSTART:-.quickstart}
mkdir -p "$work"
cd "$work"
rm -rf .curate flagged.csv

step() {
    printf '\n$ %s\n' "$*"
    "$@"
}

step curate demo pictures
step curate train pictures/labeled --image-size 32 --epochs 30
step curate watch pictures/inbox --once
step curate finetune
step curate status
step curate export flagged.csv --ood-only
step head -n 4 flagged.csv

printf '\nnext, to look at what was flagged, in the browser:\n'
printf '    source %q/bin/activate && curate review --catalog %q\n' "$venv" "$work/.curate"
