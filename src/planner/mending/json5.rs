//! Where things stand in a JSON5 text (json5.org, "The JSON5 Data Interchange Format", 1.0.0), so that one of them
//! can be changed and every other byte stays: comments, blanks, quotes and all.

/// How deep values may stand in each other.
const DEEPEST: usize = 64;

/// A value and its place, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// Its first byte.
    pub(super) start: usize,
    /// The byte after its last one.
    pub(super) end: usize,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// An object.
    Object(Object),
    /// An array; what is in it is of no interest.
    Array,
    /// A string, as it is read.
    Text(String),
    /// A number, `true`, `null` and the like.
    Word,
}

/// An object's members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Object {
    /// Each with its key as it is read.
    pub(super) members: Vec<Member>,
    /// The byte after the comma that follows the last member, if one does.
    pub(super) trailing_comma: Option<usize>,
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its key.
    pub(super) key: String,
    /// Where the key begins.
    pub(super) start: usize,
    /// Its value.
    pub(super) value: Value,
}

impl Value {
    /// Finds the value below a path of keys. Of a key that stands twice a gateway takes the last one; here it is
    /// an error, for nobody knows which was meant.
    pub(super) fn at(&self, path: &[&str]) -> Result<Option<&Self>, String> {
        let Some((key, rest)) = path.split_first() else {
            return Ok(Some(self));
        };
        let Kind::Object(object) = &self.kind else {
            return Ok(None);
        };
        let mut same = object.members.iter().filter(|member| member.key == *key);
        match (same.next(), same.next()) {
            (Some(member), None) => member.value.at(rest),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(format!("`{key}` stands there twice")),
        }
    }
}

/// Reads a text.
///
/// # Errors
/// A sentence with the line.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let whole = (|| {
        // A byte order mark is white space in JSON5.
        reader.blanks()?;
        let value = reader.value(0)?;
        reader.blanks()?;
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err("something follows its end"),
        }
    })();
    whole.map_err(|why| {
        let line = 1 + text.bytes().take(reader.at).filter(|b| *b == b'\n').count();
        format!("line {line}: {why}")
    })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is = self.peek() == Some(wanted);
        if is {
            self.at += wanted.len_utf8();
        }
        is
    }

    /// White space and comments.
    fn blanks(&mut self) -> Read<()> {
        loop {
            let rest = self.rest();
            if rest.starts_with("//") {
                let ends = |c| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}');
                self.at += rest.find(ends).unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").ok_or("a comment does not end")? + 2;
            } else if rest.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}') {
                self.next();
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > DEEPEST {
            return Err("it is nested too deeply");
        }
        let start = self.at;
        let kind = match self.peek() {
            Some('{') => Kind::Object(self.object(depth)?),
            Some('[') => {
                self.array(depth)?;
                Kind::Array
            }
            Some('"' | '\'') => Kind::Text(self.text()?),
            Some(_) => {
                self.word()?;
                Kind::Word
            }
            None => return Err("a value is missing"),
        };
        Ok(Value {
            start,
            end: self.at,
            kind,
        })
    }

    fn object(&mut self, depth: usize) -> Read<Object> {
        self.next();
        let mut object = Object::default();
        loop {
            self.blanks()?;
            if self.takes('}') {
                return Ok(object);
            }
            if !object.members.is_empty() && object.trailing_comma.is_none() {
                return Err("a comma is missing");
            }
            object.trailing_comma = None;
            let start = self.at;
            let key = match self.peek() {
                Some('"' | '\'') => self.text()?,
                _ => self.word()?,
            };
            self.blanks()?;
            if !self.takes(':') {
                return Err("a colon is missing");
            }
            self.blanks()?;
            let value = self.value(depth + 1)?;
            object.members.push(Member { key, start, value });
            self.blanks()?;
            if self.takes(',') {
                object.trailing_comma = Some(self.at);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Read<()> {
        self.next();
        let mut more = true;
        loop {
            self.blanks()?;
            if self.takes(']') {
                return Ok(());
            }
            if !more {
                return Err("a comma is missing");
            }
            self.value(depth + 1)?;
            self.blanks()?;
            more = self.takes(',');
        }
    }

    /// A name without quotes, a number or a literal.
    fn word(&mut self) -> Read<String> {
        let rest = self.rest();
        let ends = |c: char| c.is_whitespace() || "{}[]:,\"'/".contains(c);
        let word = rest.split(ends).next().unwrap_or_default().to_owned();
        if word.is_empty() {
            return Err("a name or a value is missing");
        }
        // A name with `\u0061` in it is read by nobody here.
        if word.contains('\\') {
            return Err("a name is written with escapes");
        }
        self.at += word.len();
        Ok(word)
    }

    fn text(&mut self) -> Read<String> {
        let quote = self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n' | '\r') => return Err("a string does not end"),
                c if c == quote => return Ok(text),
                Some('\\') => text.extend(self.escape()?),
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Read<Option<char>> {
        let Some(c) = self.next() else {
            return Err("a string does not end");
        };
        Ok(Some(match c {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' => '\0',
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            // The line goes on below.
            '\r' => {
                self.takes('\n');
                return Ok(None);
            }
            '\n' | '\u{2028}' | '\u{2029}' => return Ok(None),
            other => other,
        }))
    }

    /// Half of a pair of surrogates is no character: it stands for one that equals nothing.
    fn code(&mut self, digits: usize) -> Read<char> {
        let code = self.rest().get(..digits).ok_or("an escape does not end")?;
        let number = u32::from_str_radix(code, 16).map_err(|_| "an escape is no number")?;
        self.at += digits;
        Ok(char::from_u32(number).unwrap_or('\u{fffd}'))
    }
}

#[cfg(test)]
#[path = "json5_tests.rs"]
mod tests;
