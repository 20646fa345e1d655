//! The vendor's C interface, as its header `WeWorkFinanceSdk_C.h` has it (version of 2025-02-13, at second hand).
//!
//! Everything C gives is copied and freed before it is looked at.
#![expect(
    unsafe_code,
    reason = "calling a C library is what this crate is for; nothing else in it does"
)]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_ulonglong, c_void};

/// Longer answers are taken for broken lengths.
const BYTES_MAX: usize = 64 << 20;

/// Why the library did not do it.
pub enum Failure {
    /// Its own code.
    Code(i64),
    /// In words.
    Text(&'static str),
}

/// How the library reaches the vendor.
pub struct Account {
    pub proxy: CString,
    pub proxy_password: CString,
    pub timeout_seconds: c_int,
}

/// A piece of a file.
pub struct Piece {
    pub bytes: Vec<u8>,
    pub next_index: String,
    pub finished: bool,
}

/// Opaque to us: a handle, a slice, a piece of a file.
type Pointer = *mut c_void;

/// The functions, valid while the library is loaded.
struct Functions {
    new_sdk: unsafe extern "C" fn() -> Pointer,
    init: unsafe extern "C" fn(Pointer, *const c_char, *const c_char) -> c_int,
    destroy_sdk: unsafe extern "C" fn(Pointer),
    get_chat_data: unsafe extern "C" fn(
        Pointer,
        c_ulonglong,
        c_uint,
        *const c_char,
        *const c_char,
        c_int,
        Pointer,
    ) -> c_int,
    decrypt_data: unsafe extern "C" fn(*const c_char, *const c_char, Pointer) -> c_int,
    get_media_data: unsafe extern "C" fn(
        Pointer,
        *const c_char,
        *const c_char,
        *const c_char,
        *const c_char,
        c_int,
        Pointer,
    ) -> c_int,
    new_slice: unsafe extern "C" fn() -> Pointer,
    free_slice: unsafe extern "C" fn(Pointer),
    slice_content: unsafe extern "C" fn(Pointer) -> *mut c_char,
    slice_len: unsafe extern "C" fn(Pointer) -> c_int,
    new_media: unsafe extern "C" fn() -> Pointer,
    free_media: unsafe extern "C" fn(Pointer),
    media_index: unsafe extern "C" fn(Pointer) -> *mut c_char,
    media_index_len: unsafe extern "C" fn(Pointer) -> c_int,
    media_data: unsafe extern "C" fn(Pointer) -> *mut c_char,
    media_data_len: unsafe extern "C" fn(Pointer) -> c_int,
    media_finished: unsafe extern "C" fn(Pointer) -> c_int,
}

/// The loaded library, with a handle that is signed in.
pub struct Library {
    functions: Functions,
    sdk: Pointer,
    account: Account,
    /// Unloaded last: the functions lie in it.
    _loaded: libloading::Library,
}

impl Library {
    /// Loads it and signs in.
    pub fn open(path: &OsStr, corp_id: &CStr, secret: &CStr, account: Account) -> Result<Library, Failure> {
        // SAFETY: loading runs the library's initializers. It is the customer's, compared with an approved hash by the
        // process that started this one, and this process exists to be broken by it.
        let loaded = unsafe { libloading::Library::new(path) };
        let loaded = loaded.map_err(|_| Failure::Text("the library could not be loaded"))?;
        let functions = Functions::of(&loaded)?;
        // SAFETY: as the header says; the handle is owned here and destroyed on drop.
        let sdk = unsafe { (functions.new_sdk)() };
        if sdk.is_null() {
            return Err(Failure::Text("the library gave no handle"));
        }
        let library = Library {
            functions,
            sdk,
            account,
            _loaded: loaded,
        };
        // SAFETY: a live handle and two texts that end in zero and outlive the call.
        let code = unsafe { (library.functions.init)(library.sdk, corp_id.as_ptr(), secret.as_ptr()) };
        checked(code).map(|()| library)
    }

    /// `GetChatData`.
    pub fn fetch(&mut self, seq: u64, limit: u32) -> Result<Vec<u8>, Failure> {
        let Account {
            proxy,
            proxy_password,
            timeout_seconds,
        } = &self.account;
        self.slice(|functions, sdk, slice| {
            let (proxy, password) = (proxy.as_ptr(), proxy_password.as_ptr());
            // SAFETY: a live handle, texts that end in zero and outlive the call, and a slice of the library's own.
            unsafe { (functions.get_chat_data)(sdk, seq, limit, proxy, password, *timeout_seconds, slice) }
        })
    }

    /// `DecryptData`.
    pub fn decrypt(&mut self, random_key: &CStr, message: &CStr) -> Result<Vec<u8>, Failure> {
        self.slice(|functions, _, slice| {
            // SAFETY: texts that end in zero and outlive the call, and a slice of the library's own.
            unsafe { (functions.decrypt_data)(random_key.as_ptr(), message.as_ptr(), slice) }
        })
    }

    /// `GetMediaData`.
    pub fn media(&mut self, file_id: &CStr, index: &CStr) -> Result<Piece, Failure> {
        let functions = &self.functions;
        // SAFETY: as the header says; freed by the guard, whatever happens.
        let media = Freed::new(unsafe { (functions.new_media)() }, functions.free_media)?;
        let (proxy, password) = (self.account.proxy.as_ptr(), self.account.proxy_password.as_ptr());
        // SAFETY: a live handle, texts that end in zero and outlive the call, and a piece of the library's own.
        checked(unsafe {
            (functions.get_media_data)(
                self.sdk,
                index.as_ptr(),
                file_id.as_ptr(),
                proxy,
                password,
                self.account.timeout_seconds,
                media.pointer,
            )
        })?;
        // SAFETY: the piece was filled by the call that succeeded, and lives until the guard drops; what is copied is
        // as long as the library says.
        let (bytes, index, finished) = unsafe {
            let data = copied(
                (functions.media_data)(media.pointer),
                (functions.media_data_len)(media.pointer),
            );
            let index = copied(
                (functions.media_index)(media.pointer),
                (functions.media_index_len)(media.pointer),
            );
            (data?, index?, (functions.media_finished)(media.pointer))
        };
        let next_index = String::from_utf8(index).map_err(|_| Failure::Text("an index is not text"))?;
        Ok(Piece {
            bytes,
            next_index,
            finished: finished != 0,
        })
    }

    /// Has a slice filled, and copies what is in it.
    fn slice(&self, fill: impl FnOnce(&Functions, Pointer, Pointer) -> c_int) -> Result<Vec<u8>, Failure> {
        let functions = &self.functions;
        // SAFETY: as the header says; freed by the guard, whatever happens.
        let slice = Freed::new(unsafe { (functions.new_slice)() }, functions.free_slice)?;
        checked(fill(functions, self.sdk, slice.pointer))?;
        // SAFETY: the slice was filled by the call that succeeded, and lives until the guard drops; what is copied is
        // as long as the library says.
        unsafe {
            copied(
                (functions.slice_content)(slice.pointer),
                (functions.slice_len)(slice.pointer),
            )
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: made by this library's `NewSdk`, not used after.
        unsafe { (self.functions.destroy_sdk)(self.sdk) }
    }
}

/// Something of the library's that is freed when it goes out of sight.
struct Freed {
    pointer: Pointer,
    free: unsafe extern "C" fn(Pointer),
}

impl Freed {
    fn new(pointer: Pointer, free: unsafe extern "C" fn(Pointer)) -> Result<Freed, Failure> {
        if pointer.is_null() {
            return Err(Failure::Text("the library gave no memory"));
        }
        Ok(Freed { pointer, free })
    }
}

impl Drop for Freed {
    fn drop(&mut self) {
        // SAFETY: made by this library, freed once, not used after.
        unsafe { (self.free)(self.pointer) }
    }
}

fn checked(code: c_int) -> Result<(), Failure> {
    if code == 0 {
        Ok(())
    } else {
        Err(Failure::Code(code.into()))
    }
}

/// A copy of `len` bytes at `start`.
///
/// # Safety
/// `start` is null, or that many bytes lie there.
unsafe fn copied(start: *const c_char, len: c_int) -> Result<Vec<u8>, Failure> {
    let len = usize::try_from(len).map_err(|_| Failure::Text("the library gave a negative length"))?;
    if len == 0 {
        return Ok(Vec::new());
    }
    if start.is_null() || len > BYTES_MAX {
        return Err(Failure::Text("the library gave a length without its bytes"));
    }
    // SAFETY: not null, and the caller says that this many bytes lie there.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) }.to_vec())
}

impl Functions {
    fn of(library: &libloading::Library) -> Result<Functions, Failure> {
        /// A function by its name, or what to say when it is not there.
        ///
        /// # Safety
        /// It has the type that the caller expects.
        unsafe fn named<F: Copy>(library: &libloading::Library, name: &str) -> Result<F, Failure> {
            // SAFETY: the caller's.
            let found = unsafe { library.get::<F>(name) };
            found
                .map(|function| *function)
                .map_err(|_| Failure::Text("the library lacks a function; it is not the vendor's C library"))
        }
        // SAFETY: the types are those of the vendor's header.
        unsafe {
            Ok(Functions {
                new_sdk: named(library, "NewSdk")?,
                init: named(library, "Init")?,
                destroy_sdk: named(library, "DestroySdk")?,
                get_chat_data: named(library, "GetChatData")?,
                decrypt_data: named(library, "DecryptData")?,
                get_media_data: named(library, "GetMediaData")?,
                new_slice: named(library, "NewSlice")?,
                free_slice: named(library, "FreeSlice")?,
                slice_content: named(library, "GetContentFromSlice")?,
                slice_len: named(library, "GetSliceLen")?,
                new_media: named(library, "NewMediaData")?,
                free_media: named(library, "FreeMediaData")?,
                media_index: named(library, "GetOutIndexBuf")?,
                media_index_len: named(library, "GetIndexLen")?,
                media_data: named(library, "GetData")?,
                media_data_len: named(library, "GetDataLen")?,
                media_finished: named(library, "IsMediaDataFinish")?,
            })
        }
    }
}
