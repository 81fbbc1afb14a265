//! 直方图各桶在语句里的写法，只写一次。
//!
//! Owns the one list of histogram buckets as SQL sees it: number, least and greatest value. The bounds are those
//! of [`crate::histogram`]; a test compares the two by what the statements count.

/// One expression for each bucket of a histogram: its number, its least and its greatest value.
macro_rules! buckets {
    ($each:ident) => {
        concat!(
            $each!("00", "0", "0"),
            ", ",
            $each!("01", "1", "10"),
            ", ",
            $each!("02", "11", "25"),
            ", ",
            $each!("03", "26", "50"),
            ", ",
            $each!("04", "51", "100"),
            ", ",
            $each!("05", "101", "150"),
            ", ",
            $each!("06", "151", "250"),
            ", ",
            $each!("07", "251", "400"),
            ", ",
            $each!("08", "401", "600"),
            ", ",
            $each!("09", "601", "1000"),
            ", ",
            $each!("10", "1001", "1500"),
            ", ",
            $each!("11", "1501", "2500"),
            ", ",
            $each!("12", "2501", "4000"),
            ", ",
            $each!("13", "4001", "6000"),
            ", ",
            $each!("14", "6001", "10000"),
            ", ",
            $each!("15", "10001", "15000"),
            ", ",
            $each!("16", "15001", "25000"),
            ", ",
            $each!("17", "25001", "40000"),
            ", ",
            $each!("18", "40001", "60000"),
            ", ",
            $each!("19", "60001", "100000"),
            ", ",
            $each!("20", "100001", "150000"),
            ", ",
            $each!("21", "150001", "300000"),
            ", ",
            $each!("22", "300001", "600000"),
            ", ",
            $each!("23", "600001", "9223372036854775807")
        )
    };
}
pub(super) use buckets;
