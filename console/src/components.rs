//! 组件：全控制台共用的界面零件，各占一个小文件。
//!
//! Owns the small set of parts that every page is built of. Each part is accessible by itself (names, roles,
//! keyboard), takes text that follows the language, and has its styles in `styles/components`. Parts know no
//! page and no API.

#![allow(
    missing_docs,
    reason = "props are told at their component; their builders are made by a macro"
)]

pub mod badge;
pub mod button;
pub mod card;
pub mod chart;
pub mod copy;
pub mod dialog;
pub mod field;
pub mod filter;
pub mod icon;
pub mod menu;
pub mod meter;
pub mod range_picker;
pub mod remote_view;
pub mod segmented;
pub mod sparkline;
pub mod state;
pub mod switch;
pub mod table;
pub mod tags;
pub mod toast;

pub use badge::{Badge, Tone};
pub use button::{Button, IconButton, Kind, LinkButton};
pub use card::{Card, PageHeader};
pub use chart::{Chart, Draw, Figure, Frame, Measure};
pub use copy::CopyButton;
pub use dialog::{ConfirmByName, Dialog, Render, Shape, render};
pub use field::{Field, NumberInput, SecretInput, SelectInput, TextInput};
pub use filter::{FilterSelect, FilterText};
pub use icon::icon;
pub use menu::{Menu, MenuItem};
pub use meter::Meter;
pub use range_picker::{RangePicker, clock, use_range};
pub use remote_view::{FailureState, remote_view};
pub use segmented::Segmented;
pub use sparkline::Sparkline;
pub use state::{EmptyState, Skeleton, Spinner};
pub use switch::Switch;
pub use table::{Sort, SortHeader, Sorting};
pub use tags::TagsInput;
pub use toast::{ToastRegion, toast, toast_failure};
