# Draws what bench_table measured: ns a lookup and MiB against entries, with the interval of the median.
#
#   gnuplot -c perf/plot_table.gp figures.csv out.svg [shape] [stream]
#
# figures.csv comes from bench_table --csv; out ends in .svg or .png; shape is the word in the lists' names that is drawn
# (default: clustered; the list of networks is drawn with each, "IPv6" draws IPv6); stream is "30 % hits" by default.
# One point a structure and list; of rte_fib the 4 B one, which fits every list.
if (ARGC < 2) { print "usage: gnuplot -c plot_table.gp figures.csv out.svg [shape] [stream]"; exit status 2 }
file = ARG1
shape = ARGC >= 3 ? ARG3 : "clustered"
stream = ARGC >= 4 ? ARG4 : "30 % hits"
family = shape eq "IPv6" ? 6 : 4
ours = "bounceline"
peers = family == 4 ? "rte_lpm#bulk rte_fib#4#B rte_hash one#access" : "rte_lpm6 rte_fib6#4#B one#access"
names = ours." ".peers

if (strstrt(ARG2, ".png") > 0) { set terminal pngcairo noenhanced size 1100,520 } else { set terminal svg noenhanced size 1100,520 dynamic background rgb "white" }
set output ARG2
set datafile separator ","
set logscale xy
set grid
set key outside below horizontal
set xlabel "entries"
set format x "%.0s %c"
set offsets graph 0.05, graph 0.05, 0, 0
set multiplot layout 1,2 title sprintf("IPv%d, %s, %s", family, shape, stream)

# The columns: list family entries structure measure of unit value low high. awk picks, because gnuplot has no joins.
wanted(name, measure, of) = sprintf("< awk -F, -v OFS=, -v s=%s -v m='%s' -v o='%s' -v f=%d -v h='%s' 'function q(t) {gsub(/\"/, \"\", t); return t} {n = s; gsub(/#/, \" \", n)} $2 == f && $4 == n && $5 == m && q($6) == o && (f == 6 && $1 !~ /uniform/ || f == 4 && ($1 ~ h || $1 ~ /networks/)) {print $3, $8, $9, $10}' '%s' | sort -t, -n", name, measure, of, family, shape, file)
title(name) = system(sprintf("printf '%%s' '%s' | tr '#' ' '", name))

set ylabel "ns a lookup"
plot for [name in names] wanted(name, "lookup", stream) using 1:2:3:4 with yerrorlines pointtype 7 pointsize 0.6 title title(name)

# The variants of a structure have one memory: it stands with the first.
set ylabel "MiB that lookups read"
unset key
plot for [name in names] wanted(name, "memory", "read") using 1:2 with linespoints pointtype 7 pointsize 0.6
unset multiplot
