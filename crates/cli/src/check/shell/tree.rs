//! A shell script as the checks see it: commands with their words taken apart, and every part with its place
//! in the file. Commands inside `$(…)` are trees as well.

use crate::check::source::Span;

/// Commands one after another.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The commands.
    pub(crate) items: Vec<Item>,
}

/// Pipelines joined by `&&` and `||`.
#[derive(Debug)]
pub(crate) struct Item {
    /// The pipelines, each with what joins it to those before.
    pub(crate) chain: Vec<(Link, Pipeline)>,
    /// Whether `&` follows.
    pub(crate) background: bool,
    /// From the first word to the last.
    pub(crate) span: Span,
}

/// What joins a pipeline to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing: it is the first.
    First,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// Commands joined by `|`.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Whether `!` stands before.
    pub(crate) negated: bool,
    /// The commands.
    pub(crate) commands: Vec<Command>,
    /// From the first word to the last.
    pub(crate) span: Span,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// What it does.
    pub(crate) kind: Kind,
    /// Where its input and output go.
    pub(crate) redirects: Vec<Redirect>,
    /// Where it stands.
    pub(crate) span: Span,
}

/// What a command does.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A program, builtin or function; without words only assignments.
    Simple {
        assignments: Vec<Assignment>,
        words: Vec<Word>,
    },
    /// `{ …; }`
    Group(Block),
    /// `( … )`
    Subshell(Block),
    /// `for NAME in WORDS`
    For {
        variable: String,
        values: Option<Vec<Word>>,
        body: Block,
    },
    /// `for ((…))`
    ArithmeticFor { body: Block },
    /// `case WORD in …`
    Case { subject: Word, arms: Vec<Arm> },
    /// Conditions with what follows them; the last may have none.
    If(Vec<(Option<Block>, Block)>),
    /// `while` or `until`.
    Loop {
        until: bool,
        condition: Block,
        body: Block,
    },
    /// `NAME() …`
    Function { name: String, body: Box<Command> },
    /// `[[ … ]]`
    Test(Test),
    /// `((…))`
    Arithmetic(String),
}

/// One branch of a `case`.
#[derive(Debug)]
pub(crate) struct Arm {
    /// What the subject is compared with.
    pub(crate) patterns: Vec<Word>,
    /// What is done.
    pub(crate) body: Block,
    /// Whether the next branch follows (`;&`, `;;&`).
    pub(crate) falls_through: bool,
}

/// A condition inside `[[ ]]` or `[ ]`.
#[derive(Debug)]
pub(crate) enum Test {
    /// Both.
    And(Box<Test>, Box<Test>),
    /// Either.
    Or(Box<Test>, Box<Test>),
    /// The opposite.
    Not(Box<Test>),
    /// One word, with its operator (`-z`).
    One(Word),
    /// Two words.
    Two {
        relation: Relation,
        left: Word,
        right: Word,
    },
}

/// How two words are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The same text; the right side a pattern inside `[[ ]]`.
    Equal,
    /// Not the same text.
    Different,
    /// Anything else.
    Other,
}

/// `NAME=VALUE`
#[derive(Debug)]
pub(crate) struct Assignment {
    /// The variable.
    pub(crate) name: String,
    /// One word, or the elements of an array.
    pub(crate) values: Vec<Word>,
    /// Whether it is an array or an element of one.
    pub(crate) array: bool,
    /// Whether `+=`.
    pub(crate) append: bool,
    /// Where it stands.
    pub(crate) span: Span,
}

/// Where one descriptor goes.
#[derive(Debug)]
pub(crate) struct Redirect {
    /// The descriptor; `None` for both stdout and stderr.
    pub(crate) descriptor: Option<i32>,
    /// Where to.
    pub(crate) target: Target,
}

/// The other end of a redirect.
#[derive(Debug)]
pub(crate) enum Target {
    /// A file that is read.
    Read(Word),
    /// A file that is written.
    Write(Word),
    /// Another descriptor.
    Same(i32),
    /// `>(…)` or `<(…)`
    Process(Block),
    /// `<<` (whether it is expanded shows in the pieces)
    Document(Word),
    /// `<<<`
    Text(Word),
    /// Closed, or decided at run time.
    Other,
}

/// One word.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// As written.
    pub(crate) raw: String,
    /// Its parts.
    pub(crate) pieces: Vec<Piece>,
    /// Where it stands.
    pub(crate) span: Span,
}

/// A part of a word.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// What it is.
    pub(crate) kind: PieceKind,
    /// Whether quotes keep it in one word.
    pub(crate) quoted: bool,
    /// Where it stands.
    pub(crate) span: Span,
}

/// What a part of a word is.
#[derive(Debug, Clone)]
pub(crate) enum PieceKind {
    /// Itself.
    Text(String),
    /// `$'…'`
    Ansi(String),
    /// `$NAME` in any form.
    Parameter(Parameter),
    /// `$(…)` or `` `…` ``; none when it could not be read.
    Command(std::rc::Rc<Option<Block>>),
    /// `<(…)` or `>(…)` as an argument.
    Process(std::rc::Rc<Block>),
    /// `$((…))`
    Arithmetic(String),
    /// `~`
    Tilde,
}

/// `${NAME…}`
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// The variable's name, a number, or `@ * # ? - $ ! 0`.
    pub(crate) name: String,
    /// What is done with the value.
    pub(crate) operation: Operation,
    /// Whether an element or all elements are meant.
    pub(crate) indexed: bool,
    /// The word after `:-`, `#` and the like.
    pub(crate) argument: Option<String>,
}

/// What is done with a variable's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Nothing.
    Plain,
    /// Something else when unset: `:-`, `:=`, `:?`.
    Default,
    /// Something else when set: `:+`.
    Alternative,
    /// `#` before the name.
    Length,
    /// Cut at an end: `#`, `##`, `%`, `%%`.
    Trim,
    /// `:offset:length`
    Substring,
    /// `^`, `,`, `@L` and the like.
    Letters,
    /// `/old/new`
    Replace,
    /// `!`
    Indirect,
    /// `@Q` and the like.
    Transform,
}

impl Word {
    /// The word's text, if nothing in it is decided at run time.
    pub(crate) fn literal(&self) -> Option<String> {
        let mut all = String::new();
        for piece in &self.pieces {
            match &piece.kind {
                PieceKind::Text(text) => all.push_str(text),
                PieceKind::Tilde => all.push('~'),
                _ => return None,
            }
        }
        Some(all)
    }

    /// The parameters in the word, not looking into commands.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&Parameter, &Piece)> {
        self.pieces.iter().filter_map(|piece| match &piece.kind {
            PieceKind::Parameter(parameter) => Some((parameter, piece)),
            _ => None,
        })
    }
}

impl Command {
    /// The name of the program, if it is written out.
    pub(crate) fn name(&self) -> Option<String> {
        match &self.kind {
            Kind::Simple { words, .. } => words.first().and_then(Word::literal),
            _ => None,
        }
    }

    /// The words of a simple command.
    pub(crate) fn words(&self) -> &[Word] {
        match &self.kind {
            Kind::Simple { words, .. } => words,
            _ => &[],
        }
    }
}
