//! Pages: requested from 1, numbered from 0.

use epm_protocol::assumption::Assumptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::http::error::ApiError;

/// Requested page.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paging {
    /// Number of the page, from 1.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    page_index: Option<u32>,
    /// Number of entries per page.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    page_size: Option<u32>,
}

/// Sort order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Order {
    /// Ascending.
    #[default]
    Asc,
    /// Descending.
    Desc,
}

/// Sort key of a page.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Sort {
    /// Name of the field.
    pub(crate) property: String,
    /// Sort order.
    pub(crate) direction: Order,
    /// Whether the order is ascending.
    pub(crate) ascending: bool,
}

/// A page of entries.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    /// Entries of the page.
    pub(crate) content: Vec<T>,
    /// Number of the page, from 0.
    pub(crate) number: u32,
    /// Number of entries of a full page.
    pub(crate) size: u32,
    /// Number of entries of this page.
    pub(crate) number_of_elements: usize,
    /// Whether this is the first page.
    pub(crate) first_page: bool,
    /// Whether this is the last page, or after it. Clients continue until then.
    pub(crate) last_page: bool,
    /// Number of pages.
    pub(crate) total_pages: usize,
    /// Number of entries on all pages.
    pub(crate) total_elements: usize,
    /// Sort keys.
    pub(crate) sort: Option<Vec<Sort>>,
}

/// The range of entries of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Number of the page, from 0.
    number: u32,
    /// Number of entries of a full page.
    size: u32,
}

impl Sort {
    /// Sorted by this field.
    pub(crate) fn by(property: &str, direction: Order) -> Option<Vec<Self>> {
        let ascending = direction == Order::Asc;
        Some(vec![Self { property: property.to_owned(), direction, ascending }])
    }
}

impl Paging {
    /// The requested range, with the default page size `usual`.
    ///
    /// # Errors
    ///
    /// When the index or the size is 0, unless 0 is assumed to mean the default.
    pub(crate) fn slice(self, usual: u32, assumed: &Assumptions) -> Result<Slice, ApiError> {
        let given = |name, value: Option<u32>| match value {
            Some(0) if assumed.rest_page_zero_is_refused => {
                Err(ApiError::Invalid(format!("The parameter {name} is 0; expected at least 1.")))
            }
            given => Ok(given.filter(|given| *given > 0)),
        };
        let number = given("pageIndex", self.page_index)?.unwrap_or(1) - 1;
        let size = given("pageSize", self.page_size)?.unwrap_or(usual);
        Ok(Slice { number, size: size.min(assumed.rest_largest_page).max(1) })
    }
}

impl Slice {
    /// Index of the first entry.
    pub(crate) const fn start(self) -> usize {
        self.number as usize * self.size as usize
    }

    /// Maximum number of entries.
    pub(crate) const fn size(self) -> usize {
        self.size as usize
    }

    /// The page of all entries.
    pub(crate) fn of<T>(self, all: Vec<T>, sort: Option<Vec<Sort>>) -> Page<T> {
        let total = all.len();
        self.page(all.into_iter().skip(self.start()).take(self.size()).collect(), total, sort)
    }

    /// The page with these entries, out of `total`.
    pub(crate) fn page<T>(self, content: Vec<T>, total: usize, sort: Option<Vec<Sort>>) -> Page<T> {
        Page {
            number: self.number,
            size: self.size,
            number_of_elements: content.len(),
            first_page: self.number == 0,
            last_page: self.start() + self.size() >= total,
            total_pages: total.div_ceil(self.size().max(1)),
            total_elements: total,
            sort,
            content,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(index: u32, size: u32, total: usize) -> Page<usize> {
        let paging = Paging { page_index: Some(index), page_size: Some(size) };
        paging.slice(20, &Assumptions::default()).unwrap().of((0..total).collect(), None)
    }

    #[test]
    fn pages_are_asked_for_from_one_and_numbered_from_zero_and_the_last_says_so() {
        let (first, last) = (page(1, 2, 5), page(3, 2, 5));
        assert_eq!(
            (first.number, &first.content[..], first.first_page, first.last_page),
            (0, &[0, 1][..], true, false)
        );
        assert_eq!(
            (last.number, &last.content[..], last.first_page, last.last_page),
            (2, &[4][..], false, true)
        );
        assert_eq!((last.total_pages, last.total_elements, last.number_of_elements), (3, 5, 1));
    }

    #[test]
    fn nobody_goes_on_for_ever_behind_the_end_or_where_there_is_nothing() {
        for (index, total) in [(1, 0), (9, 5), (u32::MAX, 5)] {
            let page = page(index, 2, total);
            assert!(page.last_page && page.content.is_empty(), "{page:?}");
        }
    }

    #[test]
    fn a_page_of_nothing_is_refused_and_a_huge_one_is_cut_down() {
        let mut assumed = Assumptions::default();
        let of = |page_index, page_size| Paging { page_index, page_size };
        assert!(of(Some(0), None).slice(20, &assumed).is_err());
        assert!(of(None, Some(0)).slice(20, &assumed).is_err());
        assert_eq!(of(None, Some(u32::MAX)).slice(20, &assumed).unwrap().size(), 20_000);
        assert_eq!(of(None, None).slice(25, &assumed).unwrap().size(), 25);
        assumed.rest_page_zero_is_refused = false;
        assert_eq!(of(Some(0), Some(0)).slice(25, &assumed), of(None, None).slice(25, &assumed));
    }
}
