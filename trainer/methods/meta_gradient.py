r"""The meta step: a lookahead step, and the derivative of the probe loss after it.

With batch loss $A(\theta) = \sum_i w_i\, l_i(\theta, \lambda_i) + R(\theta)$ the lookahead is

  $\theta' = \theta - \alpha (\mu m + \nabla A(\theta))$

and $M(\theta')$ is the loss on the probe batch. Because $\theta'$ is linear in every $w_i$ and,
for labels $\lambda y + (1 - \lambda) g$, in every $\lambda_i$, with $h = \nabla M(\theta')$

  $\partial M / \partial w_i = -\alpha \langle h, \nabla l_i \rangle$
  $\partial M / \partial \lambda_i
     = -\alpha w_i \langle h, \nabla \partial l_i / \partial \lambda_i \rangle$

so both are directional derivatives along $h$: one forward-mode product and no second-order graph.
The network's part, $\langle h, \nabla z \rangle$ of the logits, reuses the activations of the
forward pass, because the backward pass is linear in the gradient of the logits. This is exact for
any $w$, including the $w = 0$ of L2R and the $w = 1/B$ of IEG.
"""

import tensorflow as tf


def gradient(tape, value, theta, output_gradients=None):
    """As `tape.gradient`; 0 of what takes no part, as the mask token of a vision transformer."""
    return tape.gradient(value, theta, output_gradients, tf.UnconnectedGradients.ZERO)


def lookahead(theta, gradients, stepsize, momentum=None, meta_momentum=0.0):
    """The result of a step of (momentum) SGD; it does not change the variables.

    Args:
      theta: List of variables or tensors.
      gradients: Gradients of the batch loss A, one per entry of `theta`.
      stepsize: Meta step size, alpha.
      momentum: Momentum slots m, one per entry of `theta`; None for plain SGD.
      meta_momentum: Factor mu of the slots, in [0, 1).

    Returns:
      The list theta' of tensors.
    """
    if momentum is None:
        return [t - stepsize * g for t, g in zip(theta, gradients, strict=True)]
    return [
        t - stepsize * (meta_momentum * m + g)
        for t, g, m in zip(theta, gradients, momentum, strict=True)
    ]


def value_and_gradient(loss, theta):
    """The value of `loss(theta)`, M(theta') or a tuple that starts with it, and h = grad M."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(theta)
        value = loss(theta)
    return value, gradient(tape, value[0] if isinstance(value, tuple) else value, theta)


def derivatives_of_logits(tape, z, theta, direction):
    """How logits change when `theta` moves along `direction`: <direction, grad z>.

    Args:
      tape: Persistent tape on which z was computed from `theta`.
      z: List of logits, each (B, C).
      theta: List of variables.
      direction: List of tensors of the shapes of `theta`.

    Returns:
      A list like z.
    """
    put_in = [tf.zeros_like(logits) for logits in z]
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(put_in)
        flows_back = gradient(tape, z, theta, put_in)
    return outer.gradient(flows_back, put_in, output_gradients=direction)


def directional_derivatives(function, values, direction):
    """How every entry of `function(*values)` changes when `values` move along `direction`.

    Args:
      function: Function of these tensors; returns a tensor, or a structure of tensors.
      values: List of tensors.
      direction: List of tensors of their shapes.

    Returns:
      The structure that `function` returns.
    """
    with tf.autodiff.ForwardAccumulator(values, direction) as accumulator:
        found = function(*values)
    return accumulator.jvp(found, unconnected_gradients=tf.UnconnectedGradients.ZERO)
