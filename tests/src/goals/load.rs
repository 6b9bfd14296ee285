//! What the console costs while it watches: CPU, bytes to the terminal, memory.

use std::time::{Duration, Instant};

use super::{Finding, Lab, cpu, finding, memory, note, pass};

/// CPU and bytes while nothing happens, with their parts.
pub fn idle(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let (_server, terminal) = lab.live(120, 40)?;
    // The first seconds still have answers and toasts in them.
    pass(Duration::from_secs(5));
    let (id, span) = (terminal.id()?, Duration::from_secs(lab.seconds.max(60)));
    let (cpu_before, (bytes, frames)) = (cpu(id)?, terminal.tally());
    let began = Instant::now();
    pass(span);
    let took = began.elapsed().as_secs_f64();
    let percent = (cpu(id)? - cpu_before).as_secs_f64() / took * 100.0;
    let (bytes_after, frames_after) = terminal.tally();
    let bytes_per_s = (bytes_after - bytes) as f64 / took;
    let frames = frames_after - frames;
    Ok(vec![
        finding(
            "CPU when nothing happens",
            "≤ 0.2 %",
            format!("{percent:.2} % of a core over {took:.0} s"),
            percent <= 0.2,
        ),
        finding(
            "bytes to the terminal when nothing happens, 120x40",
            "≤ 60 bytes/s",
            format!("{bytes_per_s:.0} bytes/s in {frames} frames over {took:.0} s"),
            bytes_per_s <= 60.0,
        ),
    ])
}

/// CPU at two rates, the socket included.
pub fn busy_cpu(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (rate, most) in [(1_000, 2.0), (10_000, 6.0)] {
        let (server, terminal) = lab.live(120, 40)?;
        server.pace(rate);
        pass(Duration::from_secs(5));
        let id = terminal.id()?;
        let (before, began, spent) = (cpu(id)?, Instant::now(), server.spent().1);
        pass(Duration::from_secs(lab.seconds));
        let took = began.elapsed().as_secs_f64();
        let percent = (cpu(id)? - before).as_secs_f64() / took * 100.0;
        let real = (server.spent().1 - spent) as f64 / took;
        findings.push(finding(
            format!("CPU at {rate} receipts/s, 4 fps, 120x40"),
            &format!("≤ {most} %"),
            format!("{percent:.1} % of a core at {real:.0} receipts/s over {took:.0} s"),
            percent <= most,
        ));
    }
    Ok(findings)
}

/// Bytes to the terminal at ten thousand receipts a second, by size, and of the first frame.
pub fn busy_bytes(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (width, height, most) in [(80, 24, 8.0), (120, 40, 25.0), (200, 50, 60.0)] {
        let (server, terminal) = lab.live(width, height)?;
        let (before, frames) = terminal.tally();
        terminal.press("C-l")?;
        terminal.wait("a frame written anew", |seen| seen.frames() > frames)?;
        let whole = (terminal.tally().0 - before) as f64 / 1_024.0;
        server.pace(10_000);
        pass(Duration::from_secs(5));
        let (bytes, frames) = terminal.tally();
        let began = Instant::now();
        pass(Duration::from_secs(lab.seconds));
        let took = began.elapsed().as_secs_f64();
        let (bytes_after, frames_after) = terminal.tally();
        let kib = (bytes_after - bytes) as f64 / 1_024.0 / took;
        let fps = (frames_after - frames) as f64 / took;
        findings.push(finding(
            format!("bytes to the terminal, busy, {width}x{height}"),
            &format!("≤ {most} KB/s"),
            format!("{kib:.1} KB/s at {fps:.1} frames/s; a whole frame is {whole:.1} KB"),
            kib <= most,
        ));
    }
    Ok(findings)
}

/// Memory at ten thousand receipts a second.
pub fn soak(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let (server, terminal) = lab.live(120, 40)?;
    let id = terminal.id()?;
    let first = memory(id)?;
    server.pace(10_000);
    let (began, span) = (Instant::now(), Duration::from_secs(60 * lab.minutes));
    let mut samples = Vec::new();
    while began.elapsed() < span {
        pass(Duration::from_secs(2));
        samples.push((began.elapsed().as_secs_f64(), memory(id)? as f64 / MIB));
    }
    server.pace(0);
    server.checkpoint();
    let is_exact = terminal.shows("Σ✓").is_ok();
    // The rings fill first; what grows after that is what would never stop.
    let settled = &samples[samples.len() / 2..];
    let slope = slope(settled) * 3_600.0;
    let most = samples.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
    let receipts = server.spent().1;
    Ok(vec![
        finding(
            format!("memory at 10,000 receipts/s, {} min", lab.minutes),
            "≤ 40 MB",
            format!("{:.1} MB at the start, at most {most:.1} MB", first as f64 / MIB),
            most <= 40.0,
        ),
        finding(
            "its slope, over the second half",
            "≤ 0.5 MB/h",
            format!("{slope:+.2} MB/h, {receipts} receipts"),
            slope <= 0.5,
        ),
        note(
            "sums after it",
            format!(
                "{}; lagged {} times",
                if is_exact { "Σ✓" } else { "no Σ✓" },
                server.tally().lagged
            ),
        ),
    ])
}

/// By least squares: what `y` gains for one of `x`.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|point| point.0).sum::<f64>() / count,
        points.iter().map(|point| point.1).sum::<f64>() / count,
    );
    let covered: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if spread > 0.0 { covered / spread } else { 0.0 }
}

/// Size of the programs, where they are there.
pub fn binary(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let size = |path: &std::path::Path| -> anyhow::Result<f64> {
        Ok(std::fs::metadata(path)?.len() as f64 / MIB)
    };
    let mut findings =
        vec![note("binary with everything", format!("{:.1} MB", size(&lab.program)?))];
    if let Some(slim) = &lab.slim {
        let mib = size(slim)?;
        findings.push(finding(
            "binary without an embedded backend",
            "≤ 8 MB",
            format!("{mib:.1} MB"),
            mib <= 8.0,
        ));
    }
    Ok(findings)
}

const MIB: f64 = 1_024.0 * 1_024.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 + 0.5 * f64::from(x))).collect();
        assert!((slope(&points) - 0.5).abs() < 1e-9);
        assert_eq!(slope(&[]), 0.0);
    }
}
