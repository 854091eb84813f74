# From `llvm-cov report -show-functions`: the lines and branches of each file.  The status is 1 where fewer than `fewest`
# percent of all branches are covered.
function percent(missed, all) { return all ? sprintf("%.2f%%", 100 * (all - missed) / all) : "-" }
function row(name, line, line_miss, branch, branch_miss) {
    printf "%-20s %8d %8d %9s %10d %8d %9s\n", name, line, line_miss, percent(line_miss, line), branch, branch_miss, \
        percent(branch_miss, branch)
}
BEGIN {
    print "What the C tests go through (make coverage-c, clang, x86-64 with AVX-512; NEON is not compiled there)."
    print "Every instruction set's and dtype's copy of a kernel counts by itself.\n"
    printf "%-20s %8s %8s %9s %10s %8s %9s\n", "file", "lines", "missed", "covered", "branches", "missed", "covered"
}
/^File / { name = $2; sub(/.*\//, "", name); sub(/'.*/, "", name) }
/^TOTAL/ {
    row(name, $5, $6, $8, $9)
    lines += $5; lines_missed += $6; branches += $8; branches_missed += $9
}
END {
    row("all", lines, lines_missed, branches, branches_missed)
    exit !branches || 100 * (branches - branches_missed) < fewest * branches
}
