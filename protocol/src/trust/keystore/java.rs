//! Finds the end of an object in Java's serialization, to pass over it.
//!
//! A JCEKS holds its secret keys so, without a length: the entries behind one are found only by reading it. Nothing of
//! the object is kept, and no class is looked up.

use std::rc::Rc;

use super::reader::Reader;
use super::refusal::StoreError;

/// The magic number and the version of a stream.
const HEADER: [u8; 4] = [0xAC, 0xED, 0, 5];
/// The deepest nesting that is read; the JDK's own objects for secret keys have four levels.
const DEPTH: u32 = 24;
const WHAT: &str = "a secret key";

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const BLOCK: u8 = 0x77;
const END: u8 = 0x78;
const LONG_BLOCK: u8 = 0x7A;
const LONG_STRING: u8 = 0x7C;
const ENUM: u8 = 0x7E;
const FIRST_HANDLE: u32 = 0x7E_0000;

/// The description of a class: how the data of its objects is laid out.
struct Class {
    name: String,
    flags: u8,
    /// The type of each field by its letter.
    fields: Vec<u8>,
    parent: Option<Rc<Class>>,
}

/// The objects that a stream can refer back to; only descriptions of classes matter.
type Handles = Vec<Option<Rc<Class>>>;

/// Reads a stream with one object, and leaves the reader behind it.
pub(super) fn skip_object(from: &mut Reader<'_>) -> Result<(), StoreError> {
    if from.take(HEADER.len(), WHAT)? != HEADER {
        return Err(broken("a secret key is not in Java's serialization"));
    }
    value(from, &mut Vec::new(), DEPTH)
}

/// An object of any kind.
fn value(from: &mut Reader<'_>, known: &mut Handles, depth: u32) -> Result<(), StoreError> {
    let tag = from.byte(WHAT)?;
    tagged(tag, from, known, depth)
}

fn tagged(tag: u8, from: &mut Reader<'_>, known: &mut Handles, depth: u32) -> Result<(), StoreError> {
    let depth = depth.checked_sub(1).ok_or_else(|| broken("a secret key is nested too deeply"))?;
    match tag {
        NULL => {}
        REFERENCE => {
            from.take(4, WHAT)?;
        }
        CLASS => {
            described(from, known, depth)?;
        }
        STRING => {
            known.push(None);
            let length = usize::from(from.short(WHAT)?);
            from.take(length, WHAT)?;
        }
        LONG_STRING => {
            known.push(None);
            let high = from.number(WHAT)?;
            if high != 0 {
                return Err(broken("a text in a secret key is longer than any file"));
            }
            from.bytes(WHAT)?;
        }
        OBJECT => {
            let class = class(from, known, depth)?;
            known.push(None);
            data(class.as_deref(), from, known, depth)?;
        }
        ARRAY => {
            let class = class(from, known, depth)?;
            known.push(None);
            let kind = class.and_then(|class| class.name.as_bytes().get(1).copied());
            let kind = kind.ok_or_else(|| broken("an array in a secret key has no type"))?;
            for _ in 0..from.number(WHAT)? {
                field(kind, from, known, depth)?;
            }
        }
        ENUM => {
            class(from, known, depth)?;
            known.push(None);
            value(from, known, depth)?;
        }
        BLOCK => {
            let length = usize::from(from.byte(WHAT)?);
            from.take(length, WHAT)?;
        }
        LONG_BLOCK => {
            from.bytes(WHAT)?;
        }
        other => return Err(broken(&format!("a secret key has an object of the unknown kind {other:#04x}"))),
    }
    Ok(())
}

/// The description of a class: a new one, one that was described before, or none.
fn class(from: &mut Reader<'_>, known: &mut Handles, depth: u32) -> Result<Option<Rc<Class>>, StoreError> {
    match from.byte(WHAT)? {
        NULL => Ok(None),
        CLASS => described(from, known, depth).map(Some),
        REFERENCE => {
            let handle = from.number(WHAT)?.checked_sub(FIRST_HANDLE).and_then(|at| usize::try_from(at).ok());
            let found = handle.and_then(|at| known.get(at)).and_then(Clone::clone);
            found.map(Some).ok_or_else(|| broken("a secret key refers to an unknown class"))
        }
        other => Err(broken(&format!("a class in a secret key is of the unknown kind {other:#04x}"))),
    }
}

fn described(from: &mut Reader<'_>, known: &mut Handles, depth: u32) -> Result<Rc<Class>, StoreError> {
    let depth = depth.checked_sub(1).ok_or_else(|| broken("a secret key is nested too deeply"))?;
    let name = from.text(WHAT)?;
    from.take(8, WHAT)?;
    let handle = known.len();
    known.push(None);
    let flags = from.byte(WHAT)?;
    let mut fields = Vec::new();
    for _ in 0..from.short(WHAT)? {
        let kind = from.byte(WHAT)?;
        from.text(WHAT)?;
        if matches!(kind, b'L' | b'[') {
            value(from, known, depth)?;
        }
        fields.push(kind);
    }
    until_end(from, known, depth)?;
    let parent = class(from, known, depth)?;
    let class = Rc::new(Class { name, flags, fields, parent });
    known[handle] = Some(Rc::clone(&class));
    Ok(class)
}

/// The data of an object: that of the topmost class first.
fn data(
    class: Option<&Class>,
    from: &mut Reader<'_>,
    known: &mut Handles,
    depth: u32,
) -> Result<(), StoreError> {
    let mut lineage = Vec::new();
    let mut next = class;
    while let Some(class) = next {
        lineage.push(class);
        next = class.parent.as_deref();
    }
    for class in lineage.into_iter().rev() {
        // Bits: 1 for a method that writes, 2 for serializable, 4 for externalizable, 8 for data in blocks.
        match class.flags & 0x0F {
            2 | 3 => {
                for kind in &class.fields {
                    field(*kind, from, known, depth)?;
                }
                if class.flags & 1 != 0 {
                    until_end(from, known, depth)?;
                }
            }
            12 => until_end(from, known, depth)?,
            other => return Err(broken(&format!("a class in a secret key has the unknown flags {other}"))),
        }
    }
    Ok(())
}

/// Objects and blocks up to the mark of their end.
fn until_end(from: &mut Reader<'_>, known: &mut Handles, depth: u32) -> Result<(), StoreError> {
    loop {
        match from.byte(WHAT)? {
            END => return Ok(()),
            tag => tagged(tag, from, known, depth)?,
        }
    }
}

/// The value of a field, or of a place in an array, by the letter of its type.
fn field(kind: u8, from: &mut Reader<'_>, known: &mut Handles, depth: u32) -> Result<(), StoreError> {
    let length = match kind {
        b'B' | b'Z' => 1,
        b'C' | b'S' => 2,
        b'F' | b'I' => 4,
        b'D' | b'J' => 8,
        b'L' | b'[' => return value(from, known, depth),
        other => return Err(broken(&format!("a field in a secret key has the unknown type {other:#04x}"))),
    };
    from.take(length, WHAT).map(drop)
}

fn broken(detail: &str) -> StoreError {
    StoreError::Damaged { detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_array_of_bytes_is_passed_over_and_nothing_behind_it() {
        let class = [
            &[ARRAY, CLASS, 0, 2][..],
            b"[B",
            &[0xAC, 0xF3, 0x17, 0xF8, 6, 8, 0x54, 0xE0, 2, 0, 0, END, NULL],
        ];
        let bytes = [&HEADER[..], &class.concat(), &[0, 0, 0, 3, 1, 2, 3], b"behind"].concat();
        let mut from = Reader(&bytes);
        skip_object(&mut from).unwrap();
        assert_eq!(from.0, b"behind");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        // Each array of objects holds one array of objects.
        let class = [&[ARRAY, CLASS, 0, 2][..], b"[[", &[0; 8], &[2, 0, 0, END, NULL, 0, 0, 0, 1]].concat();
        let deep = [&HEADER[..], &class.repeat(1000)].concat();
        let error = skip_object(&mut Reader(&deep)).unwrap_err();
        assert!(error.to_string().contains("nested too deeply"), "{error}");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            pieces in proptest::collection::vec(
                prop_oneof![
                    (0x70_u8..=0x7E).prop_map(|tag| vec![tag]),
                    Just([&[CLASS, 0, 1, b'a'][..], &[0; 8], &[2, 0, 1, b'L', 0, 1, b'x', NULL, END, NULL]].concat()),
                    Just(vec![REFERENCE, 0, 0x7E, 0, 0]),
                    proptest::collection::vec(any::<u8>(), 0..8),
                ],
                0..30,
            )
        ) {
            let bytes = [&HEADER[..], &pieces.concat()].concat();
            let _ = skip_object(&mut Reader(&bytes));
        }
    }
}
