#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What `run` makes of labs that pass, fail, hang and die: a copy of it, beside a
# lab that does what it is told to.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

copy=$work/integration/e2e/run
mkdir -p "$work/integration"/{e2e,lab}
cp "$here/run" "$copy"
cat >"$work/integration/lab/lab" <<-'END'
	#!/bin/sh
	# Each try takes a word; there is none left for one too many.
	dir=$(dirname "$0")
	read -r word rest <"$dir/words"
	echo "$rest" >"$dir/words"
	echo 'ok 1 - one: something'
	echo '1 passed, 0 failed'
	case $word in
	pass) echo '3 passed, 0 failed, 1 skipped' ;;
	fail)
		echo 'not ok 1 - two: something'
		echo '2 passed, 1 failed'
		;;
	hang)
		echo 'lab: no sign of life of the machine for 60 s: run' >&2
		exit 125
		;;
	die) kill -KILL $$ ;;
	esac
END
chmod +x "$work/integration/lab/lab"

# labs WORD...: sets status and out; left: what no lab has taken.
labs()
{
	echo "$*" >"$work/integration/lab/words"
	try env -u NACRE_E2E_LAB MAKE=true "$copy" --lab basics lifecycle
	read -r left <"$work/integration/lab/words"
}

# ends WORDS STATUS SUMMARY: with labs as WORDS say, and no more of them.
ends()
{
	local words=$1

	# shellcheck disable=SC2086
	labs $words pass
	is "$words: the status" "$status" "$2"
	is "$words: the summary" "${out##*$'\n'}" "$3"
	is "$words: the labs" "$left" pass
}

ends pass 0 '4 passed, 0 failed, 1 skipped'
for first in fail hang die; do
	ends "$first pass" 0 '4 passed, 0 failed, 2 skipped'
	like "$first pass: the first try is shown" "$out" \
		'# first try: not ok .*ok - basics lifecycle: the first try # SKIP'
	[[ ! $out =~ (^|$'\n')not\ ok ]] || fail 'as a failure' "$out"
	ends "$first fail" 1 '3 passed, 1 failed'
	ends "$first hang" 1 '1 passed, 1 failed'
	ends "$first die" 1 '1 passed, 1 failed'
	like "$first die: the second is shown as a failure" "$out" \
		$'\nnot ok - the lab ended ahead of time \\(status 137\\)\n'
done
