#!/usr/bin/env bash
# Loads exports with FiftyOne's own importer and with Label Studio's own SDK, in environments made
# for it below the folder that is given (a temporary one otherwise). `curate` must be on the path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
for tool in fiftyone label-studio-sdk; do
    test -x "$work/$tool/bin/python" || python3 -m venv "$work/$tool"
    "$work/$tool/bin/python" -m pip install --quiet "$tool"
done
rm -rf "$work/project"
mkdir "$work/project"
cd "$work/project"
curate demo pictures
curate train pictures/labeled --image-size 32 --epochs 3
curate ingest pictures/inbox
curate export fiftyone --format fiftyone
curate export tasks --format labelstudio
"$work/fiftyone/bin/python" "$here/consumers.py" fiftyone fiftyone
"$work/label-studio-sdk/bin/python" "$here/consumers.py" labelstudio tasks
curate import-reviews tasks-judged.json --reviewer label-studio
