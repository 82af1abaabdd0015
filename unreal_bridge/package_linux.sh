#!/usr/bin/env bash
# Package an Unreal project for Linux with Unreal's automation tool.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: package_linux.sh --engine FOLDER --project FILE.uproject --out FOLDER [options]
  --engine FOLDER    where Unreal is: the folder that holds Engine/ (or UNREAL_ENGINE in the environment)
  --project FILE     the project
  --out FOLDER       where the packaged project goes
  --config NAME      Development (default; logs), Shipping or Test
  --dry-run          print the command instead of running it
TEXT
}

fail() {
  printf '%s\n' "$1" >&2
  exit 2
}

engine=${UNREAL_ENGINE:-} project='' out='' config=Development dry=0
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry=1; shift; continue ;;
    -h | --help) usage; exit 0 ;;
    --engine | --project | --out | --config) [ $# -ge 2 ] || fail "$1 needs a value" ;;
    *) fail "unknown option '$1'; --help says which there are" ;;
  esac
  case $1 in
    --engine) engine=$2 ;;
    --project) project=$2 ;;
    --out) out=$2 ;;
    --config) config=$2 ;;
  esac
  shift 2
done

[ -n "$engine" ] || fail 'where is Unreal? --engine FOLDER, or UNREAL_ENGINE in the environment'
[ -n "$project" ] || fail 'which project? --project FILE.uproject'
[ -n "$out" ] || fail 'where to? --out FOLDER'
case $config in Development | Shipping | Test) ;; *) fail "--config '$config': Development, Shipping or Test is right" ;; esac
case $project in *.uproject) ;; *) fail "--project '$project' is no .uproject" ;; esac

uat=$engine/Engine/Build/BatchFiles/RunUAT.sh
command=("$uat" BuildCookRun "-project=$project" -noP4 -utf8output -unattended -platform=Linux "-clientconfig=$config"
  -build -cook -stage -pak -archive "-archivedirectory=$out")

if [ "$dry" = 1 ]; then
  printf '%q ' "${command[@]}"
  printf '\n'
  exit 0
fi
[ -f "$project" ] || fail "$project is not there"
[ -x "$uat" ] || fail "$uat is not there: is '$engine' the folder that holds Engine/?"
"${command[@]}"
printf 'packaged into %s; torchmultiverse engine check %s/Linux/*.sh --out first.png tries it\n' "$out" "$out"
