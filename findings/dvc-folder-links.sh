#!/usr/bin/env bash
# DVC 3.67.1 hashes a folder dependency without the folders that links in it lead to, and says nothing.
#
# A dependency `pics` holds a folder `cats`, a link to a file and a link to a folder `dogs` elsewhere. The stage's command sees the
# pictures behind both links. DVC follows the link to the file (a change of what it leads to makes the stage run again) but
# leaves the linked folder out of its hash (nfiles: 4 for 6 files that the command reads), so that pictures added or changed behind it leave
# "Data and pipelines are up to date.", and the stage's output is stale.
# A user would guess that both kinds of links are followed, that both are hashed as links, or that DVC says what it passes over.
#
# Exits 0 while DVC does so, 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" DVC_NO_ANALYTICS=1

mkdir work && cd work
dvc init -q --no-scm
mkdir -p pics/cats dogs other
for number in 1 2 3; do echo "cat $number" >pics/cats/$number.txt; done
for number in 1 2; do echo "dog $number" >dogs/$number.txt; done
echo fox >other/fox.txt
ln -s ../dogs pics/dogs
ln -s ../other/fox.txt pics/fox.txt
cat >dvc.yaml <<'EOF'
stages:
  count:
    cmd: find -L pics -type f | wc -l > count
    deps: [pics]
    outs: [count]
EOF
dvc repro -q
echo "files that the command saw: $(cat count)"
grep nfiles dvc.lock

echo "another fox" >other/fox.txt
after_file=$(dvc status)
echo "after a change behind the link to a file:   $after_file" | tr '\n' ' '
echo
echo fox >other/fox.txt

for number in 3 4 5; do echo "dog $number" >dogs/$number.txt; done
after_folder=$(dvc status 2>&1)
echo "after three files behind the link to a folder: $after_folder"

[ "$(cat count)" -eq 6 ]
grep -q "nfiles: 4" dvc.lock
grep -q "modified" <<<"$after_file"
grep -q "up to date" <<<"$after_folder"
