//! How interfaces are built on others.

use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

use super::{Net, NetError};

/// An interface among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Index of the bridge or bond that it is a port of.
    pub port_of: Option<u32>,
}

impl Net {
    /// Every interface.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn layers(&self) -> Result<Vec<Layer>, NetError> {
        let links = self
            .list(|| self.handle.link().get().execute())
            .await
            .map_err(|source| NetError::new("list interfaces", "CAP_NET_ADMIN", source))?;
        Ok(links.iter().filter_map(parse).collect())
    }
}

fn parse(link: &LinkMessage) -> Option<Layer> {
    let (mut name, mut port_of) = (None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(own) => name = Some(own.clone()),
            LinkAttribute::Controller(index) => port_of = Some(*index),
            _ => {}
        }
    }
    Some(Layer { name: name?, ifindex: link.header.index, port_of })
}
