// SPDX-License-Identifier: Apache-2.0
//
// Rust: generics, traits, closures, for test_addr2line.py. Built with legacy and with v0 names.
use std::collections::HashMap;

mod shapes {
    pub trait Area {
        fn area(&self) -> u64;
    }

    pub struct Square(pub u64);

    impl Area for Square {
        #[inline(never)]
        fn area(&self) -> u64 {
            let v: Vec<u64> = (0..self.0).collect();
            v.iter().sum()
        }
    }

    #[inline(never)]
    pub fn total<T: Area>(shapes: &[T]) -> u64 {
        shapes.iter().map(|s| s.area()).sum()
    }
}

#[inline(never)]
fn count_words(text: &str) -> HashMap<String, usize> {
    let mut words = HashMap::new();
    for word in text.split(' ') {
        *words.entry(word.to_string()).or_insert(0) += 1;
    }
    words
}

fn main() {
    let n = std::env::args().count() as u64;
    let squares = [shapes::Square(n), shapes::Square(n + 1)];
    println!("{} {}", shapes::total(&squares), count_words("a b a c").len());
}
