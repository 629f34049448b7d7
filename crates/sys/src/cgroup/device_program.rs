//! The program that says in version 2 which devices may be used: assembled by hand, a few instructions for each rule.
//!
//! ```text
//! r3 = kind, r2 = what is asked, r4 = major, r5 = minor
//! rule:  if kind, major or minor is another one, or more is asked than is allowed: next rule
//!        return 1
//! ...
//! return 0
//! ```

use super::devices::{DeviceKind, DeviceRule};

/// One instruction as the kernel reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// What an instruction does.
mod code {
    /// `dst = *(u32 *)(src + offset)`
    pub(super) const LOAD: u8 = 0x61;
    /// `dst &= immediate`
    pub(super) const AND: u8 = 0x54;
    /// `dst >>= immediate`
    pub(super) const SHIFT: u8 = 0x74;
    /// `dst = src`
    pub(super) const COPY: u8 = 0xbc;
    /// `dst = immediate`
    pub(super) const SET: u8 = 0xb7;
    /// `if dst != immediate goto +offset`
    pub(super) const UNLESS: u8 = 0x55;
    /// `return r0`
    pub(super) const RETURN: u8 = 0x95;
}

/// Registers: the answer, the context (free once it is read), and what is read from it.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const SCRATCH: u8 = 1;
const ASKED: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The kernel's numbers of kinds.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

fn instruction(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Instruction {
    let registers = if cfg!(target_endian = "little") {
        dst | src << 4
    } else {
        dst << 4 | src
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

/// The program for these rules; what none of them allows is forbidden.
pub(super) fn assemble(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(code::LOAD, ASKED, CONTEXT, 0, 0),
        instruction(code::COPY, KIND, ASKED, 0, 0),
        instruction(code::AND, KIND, 0, 0, 0xffff),
        instruction(code::SHIFT, ASKED, 0, 0, 16),
        instruction(code::LOAD, MAJOR, CONTEXT, 4, 0),
        instruction(code::LOAD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules {
        one_rule(rule, &mut program);
    }
    program.push(instruction(code::SET, ANSWER, 0, 0, 0));
    program.push(instruction(code::RETURN, 0, 0, 0, 0));
    program
}

fn one_rule(rule: &DeviceRule, program: &mut Vec<Instruction>) {
    let mut tests: Vec<Instruction> = Vec::new();
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(BLOCK),
        DeviceKind::Character => Some(CHARACTER),
    };
    let unless = |register, value| instruction(code::UNLESS, register, 0, 0, value);
    tests.extend(kind.map(|kind| unless(KIND, kind)));
    // Numbers of devices have at most 20 bits.
    tests.extend(rule.major.map(|major| unless(MAJOR, major.cast_signed())));
    tests.extend(rule.minor.map(|minor| unless(MINOR, minor.cast_signed())));
    let allowed = rule.access.bits();
    if allowed != 7 {
        tests.push(instruction(code::COPY, SCRATCH, ASKED, 0, 0));
        tests.push(instruction(code::AND, SCRATCH, 0, 0, !i32::from(allowed)));
        tests.push(unless(SCRATCH, 0));
    }
    // Past the tests that follow, and past the answer.
    let length = tests.len();
    for (at, test) in tests
        .iter_mut()
        .enumerate()
        .filter(|(_, test)| test.code == code::UNLESS)
    {
        test.offset = i16::try_from(length - at - 1 + 2).unwrap_or(i16::MAX);
    }
    program.extend(tests);
    program.push(instruction(code::SET, ANSWER, 0, 0, 1));
    program.push(instruction(code::RETURN, 0, 0, 0, 0));
}

#[cfg(test)]
mod tests {
    use super::super::devices::Access;
    use super::*;
    use proptest::prelude::*;

    /// Runs the program as the kernel would: whether the access is allowed.
    fn run(program: &[Instruction], kind: i32, asked: u8, major: u32, minor: u32) -> bool {
        let context = [u32::from(asked) << 16 | kind.cast_unsigned(), major, minor];
        let mut registers = [0_u64; 10];
        let mut at = 0;
        loop {
            let now = program[at];
            let (dst, src) = (usize::from(now.registers & 15), usize::from(now.registers >> 4));
            let value = now.immediate.cast_unsigned();
            let low = |register: u64| u32::try_from(register & 0xffff_ffff).unwrap();
            match now.code {
                code::LOAD => registers[dst] = context[usize::try_from(now.offset).unwrap() / 4].into(),
                code::AND => registers[dst] = (low(registers[dst]) & value).into(),
                code::SHIFT => registers[dst] = (low(registers[dst]) >> value).into(),
                code::COPY => registers[dst] = low(registers[src]).into(),
                code::SET => registers[dst] = i64::from(now.immediate).cast_unsigned(),
                code::UNLESS => {
                    if registers[dst] != i64::from(now.immediate).cast_unsigned() {
                        at += usize::try_from(now.offset).unwrap();
                    }
                }
                code::RETURN => return registers[0] == 1,
                other => panic!("{other:#x}"),
            }
            at += 1;
        }
    }

    fn allows(rule: &DeviceRule, kind: i32, asked: u8, major: u32, minor: u32) -> bool {
        let kinds = match rule.kind {
            DeviceKind::All => true,
            DeviceKind::Block => kind == BLOCK,
            DeviceKind::Character => kind == CHARACTER,
        };
        kinds
            && rule.major.is_none_or(|it| it == major)
            && rule.minor.is_none_or(|it| it == minor)
            && asked & !rule.access.bits() == 0
    }

    fn rule() -> impl Strategy<Value = DeviceRule> {
        let kinds = [DeviceKind::All, DeviceKind::Block, DeviceKind::Character];
        (
            prop::sample::select(kinds.to_vec()),
            prop::option::of(0_u32..3),
            prop::option::of(0_u32..3),
            any::<[bool; 3]>(),
        )
            .prop_map(|(kind, major, minor, [read, write, mknod])| DeviceRule {
                kind,
                major,
                minor,
                access: Access { read, write, mknod },
            })
    }

    proptest! {
        #[test]
        fn the_program_does_what_the_rules_say(
            rules in prop::collection::vec(rule(), 0..6), kind in 1..3, asked in 1_u8..8, major in 0_u32..3, minor in 0_u32..3,
        ) {
            let program = assemble(&rules);
            let expected = rules.iter().any(|rule| allows(rule, kind, asked, major, minor));
            prop_assert_eq!(run(&program, kind, asked, major, minor), expected);
        }
    }

    #[test]
    fn nothing_is_allowed_without_rules() {
        assert_eq!(assemble(&[]).len(), 8);
        assert!(!run(&assemble(&[]), CHARACTER, 2, 1, 3));
    }
}
