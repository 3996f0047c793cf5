//! The order in which Java's `Hashtable` lists its keys, which is that of the aliases of a JKS.

/// Capacity of a new table.
const CAPACITY: usize = 11;

/// Lists these keys in the order in which a table does to which they were added in turn.
pub(super) fn order(keys: &[String]) -> Vec<String> {
    let mut table: Vec<Vec<&String>> = vec![Vec::new(); CAPACITY];
    for (count, key) in keys.iter().enumerate() {
        // A table grows once it is filled to three quarters.
        if count >= table.len() * 3 / 4 {
            let mut larger = vec![Vec::new(); table.len() * 2 + 1];
            for one in table.into_iter().rev().flatten() {
                add(&mut larger, one);
            }
            table = larger;
        }
        add(&mut table, key);
    }
    table.into_iter().rev().flatten().cloned().collect()
}

/// Adds a key before those of the same place.
fn add<'a>(table: &mut [Vec<&'a String>], key: &'a String) {
    let hash = key.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    let place = usize::try_from(hash & 0x7FFF_FFFF).unwrap_or_default() % table.len();
    table[place].insert(0, key);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(keys: &[&str]) -> Vec<String> {
        order(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_order_is_that_of_a_java_17_table() {
        // Printed by Java: new Hashtable with these keys, put in turn.
        for (put, listed) in [
            ("renewed,tomcat", "tomcat,renewed"),
            ("zeta,alpha,mid,beta", "zeta,mid,beta,alpha"),
            (
                "zeta,alpha,mid,beta,gamma,delta,eps,x1,x2,x3,x4,x5",
                "x3,x2,x1,gamma,alpha,zeta,beta,mid,delta,x5,x4,eps",
            ),
            ("a,l,w,Aa,BB,C", "w,l,a,C,BB,Aa"),
            ("ä,ö,ü,日本,😀,tomcat", "ü,ä,😀,tomcat,日本,ö"),
            (
                "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20",
                "19,18,17,16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,20",
            ),
        ] {
            assert_eq!(ordered(&put.split(',').collect::<Vec<_>>()).join(","), listed, "{put}");
        }
    }
}
