//! 控制台的入口：在浏览器里启动，其他地方什么也不做。
//!
//! The program that wasm-bindgen makes a module of. Starts the console of the library beside it and owns
//! nothing else; on any other target there is nothing to start.

fn main() {
    #[cfg(target_arch = "wasm32")]
    console::app::start();
}
