import { EXIT } from "../../exit.js";
import { UsageError } from "../../usage-error.js";
import type { Completion } from "../client-options.js";
import type { Command, CommandContext } from "../command.js";
import { type CompletionTable, completionTable } from "../completion-table.js";

/** `fnlb completion SHELL`: a script that knows commands and options, and asks `fnlb __complete` for names. */
export async function completion({ terminal, call }: CommandContext, commands: readonly Command[]): Promise<number> {
  const [shell] = call.items;
  const write = SCRIPTS[shell as Shell];
  if (!Object.hasOwn(SCRIPTS, shell))
    throw new UsageError(`the shell must be one of ${SHELLS.join(", ")}, got ${JSON.stringify(shell)}`);
  terminal.write(write(completionTable(commands)));
  return EXIT.CLEAN;
}

type Shell = keyof typeof SCRIPTS;

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export const SHELLS: readonly string[] = Object.keys(SCRIPTS);

/** How each script names what a word is completed with: words of its own, or a kind that it finds out. */
function kindOf(completion: Completion | undefined): { readonly kind: string; readonly words: readonly string[] } {
  if (completion === undefined) return { kind: "text", words: [] };
  return typeof completion === "string" ? { kind: completion, words: [] } : { kind: "words", words: completion };
}

/**
 * Takes the line apart itself: readline breaks words at the colons of node ids. Candidates are compared, never expanded as
 * `compgen -W` does: they come from a server.
 */
function bashScript({ commands, valued }: CompletionTable): string {
  const commandCases = commands.map(({ command, next, options, items }) => {
    const { kind, words } = kindOf(items);
    return `    ${quoted(command)}) next=${quoted([...next, ...words].join(" "))} options=${quoted(options.join(" "))} kind=${kind} ;;`;
  });
  const optionCases = valued.map(({ option, value }) => {
    const { kind, words } = kindOf(value);
    return `    ${option}) next=${quoted(words.join(" "))} options="" kind=${kind} ;;`;
  });
  return `# Completion of fnlb in bash: source <(fnlb completion bash)
_fnlb_command() {
  case "$1" in
${commandCases.join("\n")}
    *) return 1 ;;
  esac
}

_fnlb_option() {
  case "$1" in
${optionCases.join("\n")}
    *) return 1 ;;
  esac
}

_fnlb() {
  local line="\${COMP_LINE:0:COMP_POINT}" current lead="" next="" options="" kind="" candidate prefix breaks="" last
  local -a words candidates
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  last=$((\${#words[@]} - 1))
  current="\${words[last]}"
  _fnlb_command ""
  if ((last > 1)); then _fnlb_command "\${words[1]}"; fi
  if ((last > 2)); then _fnlb_command "\${words[1]} \${words[2]}"; fi
  if [[ $current == --*=* ]]; then
    if _fnlb_option "\${current%%=*}"; then lead="\${current%%=*}="; fi
  elif ((last > 1)); then
    _fnlb_option "\${words[last - 1]}"
  fi
  COMPREPLY=()
  # Split at blanks; names have no characters that the shell would expand.
  if [[ -z $lead && $current == -* ]]; then candidates=($options); else candidates=($next); fi
  if [[ -n $lead || $current != -* ]]; then
    case "$kind" in
      nodes | clusters | listeners)
        while IFS= read -r candidate; do candidates+=("$candidate"); done < <("\${words[0]}" __complete "$kind" "\${words[@]:1:last-1}" 2> /dev/null)
        ;;
      files)
        while IFS= read -r candidate; do candidates+=("$lead$candidate"); done < <(compgen -f -- "\${current#"$lead"}")
        compopt -o filenames 2> /dev/null
        ;;
    esac
  fi
  [[ $COMP_WORDBREAKS == *:* ]] && breaks+=":"
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+="="
  prefix=""
  # What readline takes for a word begins behind the last of them.
  [[ -n $breaks ]] && prefix="\${current%"\${current##*[$breaks]}"}"
  for candidate in "\${candidates[@]}"; do
    [[ $kind == files || -z $lead ]] || candidate="$lead$candidate"
    [[ $candidate == "$current"* ]] && COMPREPLY+=("\${candidate#"$prefix"}")
  done
}
complete -F _fnlb fnlb
`;
}

/** `options` is a name of zsh's own. */
function zshScript({ commands, valued }: CompletionTable): string {
  const commandCases = commands.map(({ command, next, options, items }) => {
    const { kind, words } = kindOf(items);
    return `    (${quoted(command)}) next=(${[...next, ...words].join(" ")}) flags=(${options.join(" ")}) kind=${kind} ;;`;
  });
  const optionCases = valued.map(({ option, value }) => {
    const { kind, words } = kindOf(value);
    return `    (${option}) next=(${words.join(" ")}) flags=() kind=${kind} ;;`;
  });
  return `#compdef fnlb
# Completion of fnlb in zsh: source <(fnlb completion zsh), behind compinit
_fnlb_command() {
  case "$1" in
${commandCases.join("\n")}
    (*) return 1 ;;
  esac
}

_fnlb_option() {
  case "$1" in
${optionCases.join("\n")}
    (*) return 1 ;;
  esac
}

_fnlb() {
  local kind=""
  local -a next flags
  _fnlb_command ""
  if ((CURRENT > 2)); then _fnlb_command "$words[2]"; fi
  if ((CURRENT > 3)); then _fnlb_command "$words[2] $words[3]"; fi
  if [[ $PREFIX == --*=* ]] && _fnlb_option "\${PREFIX%%=*}"; then
    compset -P 1 '*='
  elif ((CURRENT > 2)) && _fnlb_option "$words[CURRENT-1]"; then
    :
  elif [[ $PREFIX == -* ]]; then
    compadd -a flags
    return
  fi
  case "$kind" in
    (nodes|clusters|listeners) next+=(\${(f)"$("$words[1]" __complete $kind "\${(@)words[2,CURRENT-1]}" 2> /dev/null)"}) ;;
    (files) _files ;;
  esac
  compadd -a next
}

if [[ "\${funcstack[1]}" == _fnlb ]]; then _fnlb "$@"; else compdef _fnlb fnlb; fi
`;
}

function fishScript({ commands, valued }: CompletionTable): string {
  const commandCases = commands.map(({ command, next, options, items }) => {
    const { kind, words } = kindOf(items);
    return `        case ${quoted(command)}\n            set -g __fnlb_next ${[...next, ...words].join(" ")}\n            set -g __fnlb_options ${options.join(" ")}\n            set -g __fnlb_kind ${kind}`;
  });
  const optionCases = valued.map(({ option, value }) => {
    const { kind, words } = kindOf(value);
    return `        case ${quoted(option)}\n            set -g __fnlb_next ${words.join(" ")}\n            set -g __fnlb_kind ${kind}`;
  });
  return `# Completion of fnlb in fish: fnlb completion fish | source
function __fnlb_command
    switch "$argv[1]"
${commandCases.join("\n")}
        case '*'
            return 1
    end
end

function __fnlb_option
    switch "$argv[1]"
${optionCases.join("\n")}
        case '*'
            return 1
    end
end

function __fnlb
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lead ""
    __fnlb_command ""
    test (count $words) -gt 1; and __fnlb_command "$words[2]"
    test (count $words) -gt 2; and __fnlb_command "$words[2] $words[3]"
    if string match -q -- '--*=*' $current; and __fnlb_option (string split -m 1 -- = $current)[1]
        set lead (string split -m 1 -- = $current)[1]=
        set current (string split -m 1 -- = $current)[2]
    else if test (count $words) -gt 1; and __fnlb_option "$words[-1]"
        true
    else if string match -q -- '-*' $current
        printf '%s\\n' $__fnlb_options
        return
    end
    switch "$__fnlb_kind"
        case nodes clusters listeners
            set -a __fnlb_next ($words[1] __complete $__fnlb_kind $words[2..-1] 2>/dev/null)
        case files
            set -a __fnlb_next (__fish_complete_path "$current")
    end
    for word in $__fnlb_next
        printf '%s%s\\n' $lead $word
    end
end

complete -c fnlb -f -a '(__fnlb)'
`;
}

/** No word of ours has a quote in it. */
function quoted(text: string): string {
  return `'${text}'`;
}
