#!/usr/bin/env python3
"""Makes tables (markdown, to stdout) and a chart of what tools/compare measured.

Usage: report.py SOURCE [--svg FILE] [--json FILE]
SOURCE is the directory that tools/compare works in, or a file that --json wrote: to draw again without measuring.
"""
import argparse
import json
import math
import os
import platform
import statistics
import sys
from html import escape

NAMES = {"floor": "floor", "lockstep": "Lockstep", "etcd": "etcd", "postgresql": "PostgreSQL"}
COLORS = {"floor": "#b8bcc4", "lockstep": "#1f6feb", "etcd": "#e3873a", "postgresql": "#4b9c8e"}


def collect(directory):
    """One document of the files in the directory."""
    def lines(name):
        with open(os.path.join(directory, name)) as file:
            return file.read().splitlines()

    rounds, seconds, warmup, file_system, flushes = lines("settings")
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return {
        "machine": {
            "processor": models[0] if models else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "file_system": file_system, "flushes_counted": bool(flushes),
        },
        "rounds": int(rounds), "seconds": int(seconds), "warmup": int(warmup),
        "peers": [dict(zip(("name", "version", "differs"), line.split("\t"))) for line in lines("peers.tsv")],
        "runs": [json.loads(line) for line in lines("runs.jsonl")],
    }


def three_digits(number):
    """33512 as 33,500: more would be noise."""
    if number == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(number)))
    return f"{round(number, digits):,.{max(0, digits)}f}"


def two_digits(ratio):
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:#.2g}"


def power_of_ten(number):
    for size, word in ((1e6, " million"), (1e3, ",000")):
        if number >= size:
            return f"{number / size:.0f}{word}"
    return f"{number:.0f}"


def duration(microseconds):
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{three_digits(microseconds / 1000)} ms"


def plural(count, word):
    return f"{count} {word}" + ("s" if count > 1 else "")


def description(run):
    words = plural(run["connections"], "client")
    if run["depth"] > 1:
        words += f" × {run['depth']} calls"
    if run["size"] != 256:
        size = run["size"]
        words += f", {size // 1024} KiB" if size % 1024 == 0 else f", {size} bytes"
    return words + (", reads" if run["op"] == "get" else "")


class Results:
    def __init__(self, document):
        self.peers = [peer["name"] for peer in document["peers"]]
        self.loads, self.runs = {}, {}
        for run in document["runs"]:
            self.loads.setdefault(run["load"], description(run))
            self.runs.setdefault((run["load"], run["peer"]), []).append(run)

    def values(self, load, peer, field="ops_per_s"):
        return [run[field] for run in self.runs.get((load, peer), [])]

    def median(self, load, peer, field="ops_per_s"):
        values = self.values(load, peer, field)
        return statistics.median(values) if values else None

    def ratio(self, load, peer):
        """Lockstep to the peer: the median of the rounds' ratios, for what a round's runs share cancels out."""
        ours = {run["round"]: run["ops_per_s"] for run in self.runs.get((load, "lockstep"), [])}
        theirs = {run["round"]: run["ops_per_s"] for run in self.runs.get((load, peer), [])}
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return statistics.median(ratios) if ratios else None


def row(cells):
    return "| " + " | ".join(cells) + " |"


def tables(document):
    results = Results(document)
    others = [peer for peer in results.peers if peer != "lockstep"] if "lockstep" in results.peers else []
    head = ["operations a second"] + [NAMES.get(peer, peer) for peer in results.peers]
    head += [f"Lockstep ÷ {NAMES.get(peer, peer)}" for peer in others]
    yield row(head)
    yield row(["---"] + ["---:"] * (len(head) - 1))
    for load, words in results.loads.items():
        rates = [results.median(load, peer) for peer in results.peers]
        ratios = [results.ratio(load, peer) for peer in others]
        yield row(
            [words] + [three_digits(rate) if rate is not None else "" for rate in rates]
            + [two_digits(ratio) if ratio is not None else "" for ratio in ratios])
    yield ""
    yield row(["load", "", "a second, median", "min – max", "p50", "p99", "flushes a second", "runs"])
    yield row(["---", "---"] + ["---:"] * 6)
    for load, words in results.loads.items():
        for peer in results.peers:
            rates = results.values(load, peer)
            if not rates:
                continue
            flushes = results.median(load, peer, "flushes_per_s")
            yield row([
                words, NAMES.get(peer, peer), three_digits(statistics.median(rates)),
                f"{three_digits(min(rates))} – {three_digits(max(rates))}", duration(results.median(load, peer, "p50_us")),
                duration(results.median(load, peer, "p99_us")), three_digits(flushes) if flushes else "", str(len(rates))])
    yield ""
    yield from notes(document)


def notes(document):
    machine, runs = document["machine"], document["runs"]
    yield (
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['file_system']}. "
        f"{plural(document['rounds'], 'round')}; each run {document['seconds']} s after a warm-up of {document['warmup']} s. "
        "Medians of the rounds; ratios are medians of each round's ratio.")
    yield ""
    yield (
        "The same for all: three nodes and the load on this machine, over loopback, on one disk; a closed loop from a process "
        "of its own; a write is answered when two of three have it on disk; values of 256 bytes where nothing else is said; each "
        "run starts afresh, alone, in turn with the others, and when the machine is idle.")
    if machine["flushes_counted"]:
        yield (
            "Checked in each run: the disk was flushed often enough for every answered write to have been on it "
            "(one flush can answer at most what is under way).")
    yield ""
    yield "Not the same:"
    yield ""
    for peer in document["peers"]:
        yield f"- {NAMES.get(peer['name'], peer['name'])} ({peer['version']}): {peer['differs']}."
    busy, errors = sum(run["busy"] for run in runs), sum(run["errors"] for run in runs)
    if busy:
        yield f"\n**{busy} of {len(runs)} runs began while something else kept the machine busy: measure again.**"
    if errors:
        yield f"\n**{errors:.0f} calls failed.**"


def chart(document):
    """Horizontal bars, logarithmic, a group for each load; a thin line shows the lowest and highest round."""
    results = Results(document)
    width, left, right, top, bar, gap = 900, 210, 140, 70, 15, 14
    groups = [
        (load, [(peer, results.values(load, peer)) for peer in results.peers if results.values(load, peer)])
        for load in results.loads]
    rates = [rate for _, bars in groups for _, values in bars for rate in values if rate > 0]
    low = 10 ** math.floor(math.log10(min(rates)))
    if min(rates) < 1.5 * low:
        low /= 10  # a bar must have a length
    high = max(rates)
    height = top + sum(len(bars) * bar + gap for _, bars in groups) + 50

    def x(rate):
        return left + (width - left - right) * math.log(max(rate, low) / low) / math.log(high / low)

    title = "Operations a second: " + ", ".join(NAMES.get(peer, peer) for peer in results.peers)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="12" fill="#1f2328">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        f'<text x="20" y="28" font-size="16" font-weight="600">Operations a second; a write is answered when two of three nodes have it on disk</text>',
    ]
    at = 20
    for peer in results.peers:
        name = NAMES.get(peer, peer)
        out.append(f'<rect x="{at}" y="41" width="12" height="12" fill="{COLORS.get(peer, "#8250df")}"/>')
        out.append(f'<text x="{at + 17}" y="51">{escape(name)}</text>')
        at += 34 + 8 * len(name)
    bottom = height - 44
    decade = low
    while decade <= high:
        out.append(f'<line x1="{x(decade):.1f}" y1="{top - 8}" x2="{x(decade):.1f}" y2="{bottom}" stroke="#d8dee4"/>')
        out.append(f'<text x="{x(decade):.1f}" y="{bottom + 15}" text-anchor="middle" fill="#59636e">{power_of_ten(decade)}</text>')
        decade *= 10
    y = top
    for load, bars in groups:
        middle = y + len(bars) * bar / 2 + 4
        out.append(f'<text x="{left - 10}" y="{middle:.1f}" text-anchor="end">{escape(results.loads[load])}</text>')
        for peer, values in bars:
            rate = statistics.median(values)
            out.append(
                f'<rect x="{left}" y="{y + 1}" width="{x(rate) - left:.1f}" height="{bar - 2}" fill="{COLORS.get(peer, "#8250df")}"/>')
            if min(values) < max(values):
                out.append(
                    f'<line x1="{x(min(values)):.1f}" y1="{y + bar / 2}" x2="{x(max(values)):.1f}" y2="{y + bar / 2}" '
                    f'stroke="#1f2328" stroke-width="1.2"/>')
            weight = ' font-weight="600"' if peer == "lockstep" else ""
            out.append(
                f'<text x="{x(max(values)) + 6:.1f}" y="{y + bar - 3}" font-size="11"{weight}>{three_digits(rate)}'
                f'<tspan fill="#59636e" font-weight="400" dx="6">{duration(results.median(load, peer, "p50_us"))}</tspan></text>')
            y += bar
        y += gap
    machine = document["machine"]
    caption = (
        f"Logarithmic; with the median time of a call. Medians of {plural(document['rounds'], 'round')}, "
        f"lines from lowest to highest. Values of 256 bytes if not said. One machine, {plural(machine['cores'], 'core')}.")
    out.append(f'<text x="20" y="{height - 10}" font-size="11" fill="#59636e">{escape(caption)}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source")
    arguments.add_argument("--svg")
    arguments.add_argument("--json")
    options = arguments.parse_args()
    if os.path.isdir(options.source):
        document = collect(options.source)
    else:
        with open(options.source) as file:
            document = json.load(file)
    print("\n".join(tables(document)))
    try:
        if options.json:
            with open(options.json, "w") as file:
                json.dump(document, file, indent=1)
                file.write("\n")
        if options.svg:
            drawing = chart(document)
            with open(options.svg, "w") as file:
                file.write(drawing)
    except OSError as error:
        sys.exit(f"report: {error}")


main()
