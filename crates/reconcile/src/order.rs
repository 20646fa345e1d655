//! Who stands out of order.

/// Which of these have a greater number before them or a smaller one after, as few as can be: all but a longest rising
/// run. `O(n log n)`.
pub fn out_of_order(numbers: &[u32]) -> Vec<bool> {
    const NONE: usize = usize::MAX;
    // The place of the smallest end of a rising run of each length.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![NONE; numbers.len()];
    let number = |at: usize| numbers.get(at).copied().unwrap_or(u32::MAX);
    for (at, &n) in numbers.iter().enumerate() {
        let length = match ends.last() {
            // The usual case: it goes on.
            Some(&last) if number(last) < n => ends.len(),
            _ => ends.partition_point(|&end| number(end) < n),
        };
        if let (Some(slot), Some(length)) = (before.get_mut(at), length.checked_sub(1)) {
            *slot = ends.get(length).copied().unwrap_or(NONE);
        }
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut out = vec![true; numbers.len()];
    let mut at = ends.last().copied().unwrap_or(NONE);
    while let Some(slot) = out.get_mut(at) {
        *slot = false;
        at = before.get(at).copied().unwrap_or(NONE);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_are_out_of_order() {
        for (numbers, out) in [
            (vec![], vec![]),
            (vec![1, 2, 3], vec![]),
            (vec![4, 1, 2, 3], vec![4]),
            (vec![1, 2, 9, 3, 4], vec![9]),
            (vec![1, 5, 2, 3, 4, 6], vec![5]),
            (vec![3, 2, 1], vec![3, 2]),
        ] {
            let found = out_of_order(&numbers);
            let named: Vec<u32> = numbers
                .iter()
                .zip(found)
                .filter(|(_, out)| *out)
                .map(|(n, _)| *n)
                .collect();
            assert_eq!(named, out, "{numbers:?}");
        }
    }
}
