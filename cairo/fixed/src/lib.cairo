//! FP16x16 numbers: a number is stored as the felt `number * 2**16`, and |number| < 2**15.
//!
//! A sum of products is exact until its end, where it is rounded once, toward zero. A result that
//! does not fit ends the run with an error.

use array::{ArrayTrait, SpanTrait};
use option::OptionTrait;
use traits::{Into, TryInto};

const ONE: u128 = 0x10000;
const LIMIT: u128 = 0x80000000; // of a number's magnitude
const ZERO: u128 = 0x10000000000000000000000000; // 2**100: `parts` moves numbers here
const FINE: u128 = 0x40000000; // 1 in the 2.30 format of powers
const TWO: u128 = 0x80000000;
const LOG2_E: u128 = 6196328018; // in the format 32.32
const LN_2: u128 = 2977044471;
const WHOLE: u128 = 0x100000000; // 1 in the format 32.32

/// Whether a value is negative, and its magnitude.
fn parts(value: felt252) -> (bool, u128) {
    let moved: u128 = (value + ZERO.into()).try_into().expect('beyond FP16x16');
    if moved < ZERO {
        (true, ZERO - moved)
    } else {
        (false, moved - ZERO)
    }
}

fn signed(negative: bool, magnitude: u128) -> felt252 {
    assert(magnitude < LIMIT, 'beyond FP16x16');
    if negative {
        -magnitude.into()
    } else {
        magnitude.into()
    }
}

/// Divide toward zero.
fn divided(value: felt252, divisor: u128) -> felt252 {
    let (negative, magnitude) = parts(value);
    signed(negative, magnitude / divisor)
}

/// one * other / divisor, for a product below 2**128.
fn scaled(one: u128, other: u128, divisor: u128) -> u128 {
    let (one, other): (felt252, felt252) = (one.into(), other.into());
    let product: u128 = (one * other).try_into().unwrap();
    product / divisor
}

fn is_less(one: felt252, other: felt252) -> bool {
    let (negative, _) = parts(one - other);
    negative
}

/// Append the signed numbers in words, the lowest first, until there are so many.
fn unpack(mut words: Array<felt252>, base: u128, until: u32, ref numbers: Array<felt252>) {
    let half: felt252 = (base / 2).into();
    let divisor = integer::u128_as_non_zero(base);
    loop {
        if numbers.len() == until {
            break ();
        }
        let mut rest: u128 = words.pop_front().unwrap().try_into().unwrap();
        loop {
            if rest == 0 || numbers.len() == until {
                break ();
            }
            let (above, number) = integer::u128_safe_divmod(rest, divisor);
            numbers.append(number.into() - half);
            rest = above;
        };
    };
}

/// Refuse an input with another count of numbers, or with a number beyond FP16x16.
fn check(mut x: Span<felt252>, count: u32) {
    assert(x.len() == count, 'another count of numbers');
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                divided(*value, 1);
            },
            Option::None(_) => {
                break ();
            },
        };
    };
}

/// Add the products of `x` and the next weights to a sum.
fn dot(mut x: Span<felt252>, ref weights: Span<felt252>, sum: felt252) -> felt252 {
    let mut sum = sum;
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                sum += *value * *weights.pop_front().unwrap();
            },
            Option::None(_) => {
                break sum;
            },
        };
    }
}

/// Multiply each row of `x` by a matrix, whose columns follow each other, and add the bias.
fn linear(
    mut x: Span<felt252>, weights: Span<felt252>, bias: Span<felt252>, width: u32
) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        if x.is_empty() {
            break ();
        }
        let row = x.slice(0, width);
        x = x.slice(width, x.len() - width);
        let mut left = weights;
        let mut offsets = bias;
        loop {
            match offsets.pop_front() {
                Option::Some(offset) => {
                    y.append(divided(dot(row, ref left, *offset * ONE.into()), ONE));
                },
                Option::None(_) => {
                    break ();
                },
            };
        };
    };
    y
}

/// Add zeros around each channel of `x`.
fn pad(
    mut x: Span<felt252>, height: u32, width: u32, top: u32, left: u32, bottom: u32, right: u32
) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        if x.is_empty() {
            break ();
        }
        zeros((width + left + right) * top, ref y);
        let mut row = 0;
        loop {
            if row == height {
                break ();
            }
            zeros(left, ref y);
            let mut column = 0;
            loop {
                if column == width {
                    break ();
                }
                y.append(*x.pop_front().unwrap());
                column += 1;
            };
            zeros(right, ref y);
            row += 1;
        };
        zeros((width + left + right) * bottom, ref y);
    };
    y
}

fn zeros(count: u32, ref to: Array<felt252>) {
    let mut left = count;
    loop {
        if left == 0 {
            break ();
        }
        to.append(0);
        left -= 1;
    };
}

/// Where windows begin: `rows` of `columns` of them, at these distances.
fn windows(rows: u32, columns: u32, down: u32, right: u32) -> Array<u32> {
    let mut starts = ArrayTrait::new();
    let mut row = 0;
    loop {
        if row == rows {
            break ();
        }
        let mut column = 0;
        loop {
            if column == columns {
                break ();
            }
            starts.append(row * down + column * right);
            column += 1;
        };
        row += 1;
    };
    starts
}

/// Weight the windows of `x`. `rows` is where a window's rows begin, in all channels.
fn conv(
    x: Span<felt252>,
    weights: Span<felt252>,
    mut bias: Span<felt252>,
    windows: Span<u32>,
    rows: Span<u32>,
    width: u32
) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    let mut kernel = weights;
    loop {
        match bias.pop_front() {
            Option::Some(offset) => {
                let mut starts = windows;
                let mut used = kernel;
                loop {
                    match starts.pop_front() {
                        Option::Some(start) => {
                            let mut sum = *offset * ONE.into();
                            let mut places = rows;
                            used = kernel;
                            loop {
                                match places.pop_front() {
                                    Option::Some(place) => {
                                        sum = dot(x.slice(*start + *place, width), ref used, sum);
                                    },
                                    Option::None(_) => {
                                        break ();
                                    },
                                };
                            };
                            y.append(divided(sum, ONE));
                        },
                        Option::None(_) => {
                            break ();
                        },
                    };
                };
                kernel = used;
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    y
}

/// The mean, or the largest number, of each window of each channel.
fn pool(
    mut x: Span<felt252>, size: u32, windows: Span<u32>, rows: Span<u32>, width: u32, mean: bool
) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    let count = rows.len() * width;
    loop {
        if x.is_empty() {
            break ();
        }
        let mut starts = windows;
        loop {
            match starts.pop_front() {
                Option::Some(start) => {
                    let (sum, largest) = seen(x, *start, rows, width);
                    y.append(if mean {
                        divided(sum, count.into())
                    } else {
                        largest
                    });
                },
                Option::None(_) => {
                    break ();
                },
            };
        };
        x = x.slice(size, x.len() - size);
    };
    y
}

/// The sum of a window and its largest number.
fn seen(x: Span<felt252>, start: u32, mut rows: Span<u32>, width: u32) -> (felt252, felt252) {
    let mut sum = 0;
    let mut largest = *x.at(start);
    loop {
        match rows.pop_front() {
            Option::Some(place) => {
                let mut row = x.slice(start + *place, width);
                loop {
                    match row.pop_front() {
                        Option::Some(value) => {
                            sum += *value;
                            if is_less(largest, *value) {
                                largest = *value;
                            }
                        },
                        Option::None(_) => {
                            break ();
                        },
                    };
                };
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    (sum, largest)
}

fn add(mut x: Span<felt252>, mut y: Span<felt252>) -> Array<felt252> {
    let mut sums = ArrayTrait::new();
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                sums.append(divided(*value + *y.pop_front().unwrap(), 1));
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    sums
}

fn sub(mut x: Span<felt252>, mut y: Span<felt252>) -> Array<felt252> {
    let mut differences = ArrayTrait::new();
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                differences.append(divided(*value - *y.pop_front().unwrap(), 1));
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    differences
}

fn mul(mut x: Span<felt252>, mut y: Span<felt252>) -> Array<felt252> {
    let mut products = ArrayTrait::new();
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                products.append(divided(*value * *y.pop_front().unwrap(), ONE));
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    products
}

fn relu(mut x: Span<felt252>) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                y.append(if is_less(*value, 0) {
                    0
                } else {
                    *value
                });
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    y
}

/// e**-x in the format 2.30, for a magnitude x.
///
/// e**-x is 2**-(n + f) for a whole number n and a fraction f; 2**(1 - f) is a polynomial.
fn power(magnitude: u128) -> u128 {
    let exponent = scaled(magnitude, LOG2_E, WHOLE);
    let u = ONE - exponent % ONE;
    let mut sum = 2034856;
    sum = scaled(sum, u, ONE) + 9605925;
    sum = scaled(sum, u, ONE) + 59982743;
    sum = scaled(sum, u, ONE) + 257849188;
    sum = scaled(sum, u, ONE) + 744269106;
    sum = scaled(sum, u, ONE) + 1073741712;
    let mut halvings = exponent / ONE + 1;
    if halvings > 31 {
        return 0;
    }
    loop {
        if halvings == 0 {
            break sum;
        }
        sum = sum / 2;
        halvings -= 1;
    }
}

/// The natural logarithm of a number from 1 on in the format 2.30, as FP16x16.
fn logarithm(number: u128) -> felt252 {
    let mut whole = 0;
    let mut rest = number;
    loop {
        if rest < TWO {
            break ();
        }
        rest = rest / 2;
        whole += 1;
    };
    // Each squaring gives the next binary digit of the logarithm to the base 2.
    let mut digits = whole;
    let mut left = 20_u32;
    loop {
        if left == 0 {
            break ();
        }
        rest = scaled(rest, rest, FINE);
        digits = digits + digits;
        if rest >= TWO {
            rest = rest / 2;
            digits += 1;
        }
        left -= 1;
    };
    signed(false, scaled(digits, LN_2, 0x1000000000)) // 2**36: from the formats 20 and 32 to 16
}

fn sigmoid(mut x: Span<felt252>) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                let (negative, magnitude) = parts(*value);
                let share = scaled(ONE, FINE, FINE + power(magnitude));
                y.append(if negative {
                    (ONE - share).into()
                } else {
                    share.into()
                });
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    y
}

fn largest(mut x: Span<felt252>) -> felt252 {
    let mut most = *x.at(0);
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                if is_less(most, *value) {
                    most = *value;
                }
            },
            Option::None(_) => {
                break most;
            },
        };
    }
}

/// e**(x - largest) of each number in the format 2.30, and their sum.
fn powers(mut x: Span<felt252>, largest: felt252) -> (Array<u128>, u128) {
    let mut found = ArrayTrait::new();
    let mut sum = 0;
    loop {
        match x.pop_front() {
            Option::Some(value) => {
                let (_, below) = parts(largest - *value);
                let one = power(below);
                found.append(one);
                sum += one;
            },
            Option::None(_) => {
                break ();
            },
        };
    };
    (found, sum)
}

/// The softmax of each row of `x`.
fn softmax(mut x: Span<felt252>, width: u32) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        if x.is_empty() {
            break ();
        }
        let row = x.slice(0, width);
        x = x.slice(width, x.len() - width);
        let (mut shares, sum) = powers(row, largest(row));
        loop {
            match shares.pop_front() {
                Option::Some(share) => {
                    y.append(scaled(share, ONE, sum).into());
                },
                Option::None(_) => {
                    break ();
                },
            };
        };
    };
    y
}

/// The logarithm of the softmax of each row of `x`: x - largest - log(sum of e**(x - largest)).
fn log_softmax(mut x: Span<felt252>, width: u32) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        if x.is_empty() {
            break ();
        }
        let mut row = x.slice(0, width);
        x = x.slice(width, x.len() - width);
        let most = largest(row);
        let (_, sum) = powers(row, most);
        let shift = most + logarithm(sum);
        loop {
            match row.pop_front() {
                Option::Some(value) => {
                    y.append(divided(*value - shift, 1));
                },
                Option::None(_) => {
                    break ();
                },
            };
        };
    };
    y
}

/// The place of the first largest number of each row of `x`, as FP16x16.
fn argmax(mut x: Span<felt252>, width: u32) -> Array<felt252> {
    let mut y = ArrayTrait::new();
    loop {
        if x.is_empty() {
            break ();
        }
        let mut row = x.slice(0, width);
        x = x.slice(width, x.len() - width);
        let most = largest(row);
        let mut place = 0;
        loop {
            if *row.pop_front().unwrap() == most {
                break ();
            }
            place += 1;
        };
        y.append(place * ONE.into());
    };
    y
}
