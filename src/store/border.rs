//! Values at the border to C: those that SQLite hands over, and results handed to it.

use std::ffi::{c_int, c_void};

use sqlite_loadable::ext::{sqlite3_context, sqlite3_value};

use super::api::sq;
use super::error::{Error, told};
use super::value::ValueRef;

/// Reads a value that SQLite hands over.
///
/// # Safety
/// `value` must be alive for as long as the result is used.
pub(super) unsafe fn read_value<'a>(value: *mut sqlite3_value) -> ValueRef<'a> {
    // SAFETY: the type is looked at first; the length is asked after the pointer.
    unsafe {
        match sq!(value_type(value)) {
            1 => ValueRef::Integer(sq!(value_int64(value))),
            2 => ValueRef::Real(sq!(value_double(value))),
            3 => {
                let pointer = sq!(value_text(value));
                text_or_bytes(slice(pointer, sq!(value_bytes(value))))
            }
            4 => {
                let pointer = sq!(value_blob(value));
                ValueRef::Blob(slice(pointer.cast(), sq!(value_bytes(value))))
            }
            _ => ValueRef::Null,
        }
    }
}

/// Sets the result of a function or of a virtual table's column.
///
/// # Safety
/// `context` must be the one SQLite passed to the callback that is running.
pub(super) unsafe fn give(context: *mut sqlite3_context, value: ValueRef<'_>) {
    // SAFETY: SQLite copies text and blobs at once (transient marker, the pointer -1, never called).
    unsafe {
        let copy = std::mem::transmute::<isize, Option<unsafe extern "C" fn(*mut c_void)>>(-1);
        match value {
            ValueRef::Null => sq!(result_null(context)),
            ValueRef::Integer(number) => sq!(result_int64(context, number)),
            ValueRef::Real(number) => sq!(result_double(context, number)),
            ValueRef::Text(text) => {
                sq!(result_text64(
                    context,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    copy,
                    1
                ))
            }
            ValueRef::InvalidText(bytes) => {
                sq!(result_text64(
                    context,
                    bytes.as_ptr().cast(),
                    bytes.len() as u64,
                    copy,
                    1
                ))
            }
            ValueRef::Blob([]) => sq!(result_zeroblob(context, 0)),
            ValueRef::Blob(bytes) => {
                sq!(result_blob64(
                    context,
                    bytes.as_ptr().cast(),
                    bytes.len() as u64,
                    copy
                ))
            }
        }
    }
}

/// Sets the error of a function or of a virtual table's column. First the text, then the code:
/// `result_error` alone would set code 1.
///
/// # Safety
/// As [`give`].
pub(super) unsafe fn fail(context: *mut sqlite3_context, error: &Error) {
    let text = told(error).replace('\0', "");
    let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
    // SAFETY: pointer and length describe `text`, which SQLite copies.
    unsafe {
        sq!(result_error(context, text.as_ptr().cast(), length));
        sq!(result_error_code(context, error.code()));
    }
}

/// # Safety
/// `pointer` is null or points to `length` bytes that outlive the result.
unsafe fn slice<'a>(pointer: *const u8, length: c_int) -> &'a [u8] {
    if pointer.is_null() || length <= 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(pointer, length as usize) }
}

fn text_or_bytes(bytes: &[u8]) -> ValueRef<'_> {
    std::str::from_utf8(bytes).map_or(ValueRef::InvalidText(bytes), ValueRef::Text)
}
